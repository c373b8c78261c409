"""nghttpx in Weir's place: it proves the harness, and is what benchmarks compare with.

It uses the kernel's sockets, so the lab assigns Weir's addresses to the host while it runs.
"""
import signal

from netlab import BACK4, BACK6, BACKENDS, VIP4, VIP6

SETTINGS = ("--no-location-rewrite", "--no-via", "--no-add-x-forwarded-proto",
            "--backend-keep-alive-timeout=60", "--backend-read-timeout=8",
            "--frontend-http2-max-concurrent-streams=1000", "--accesslog-file=/dev/null")


class Nghttpx:
    name = "nghttpx"
    features = frozenset({"drain"})
    drain_signal = signal.SIGQUIT
    tolerates = ("a_stream_number_that_goes_back",)

    def __init__(self, site, workers):
        self.site, self.workers, self.process = site, workers, None

    def start(self, cpu=None, port=8080, backends=None):
        self._addresses("add")
        backends = backends or [address for pair in BACKENDS.values() for address in pair[:1]]
        argv = ["nghttpx", "--conf=/dev/null", f"--workers={self.workers}", *SETTINGS,
                f"--frontend={VIP4},80;no-tls", f"--frontend={VIP6},80;no-tls"]
        argv += [f"--backend={address},{port};/;proto=h2" for address in backends]
        self.process = self.site.lab.spawn("edge", argv, self.name, cpu=cpu)

    def _addresses(self, verb):
        for interface, address in (("front", f"{VIP4}/24"), ("front", f"{VIP6}/64"),
                                   ("back", f"{BACK4}/16"), ("back", f"{BACK6}/64")):
            self.site.lab.run("edge", ["ip", "addr", verb, address, "dev", interface],
                              check=False)

    def alive(self):
        return self.process is not None and self.process.alive()

    def forget(self):
        """Nothing is kept."""

    def stop(self):
        if self.alive():
            self.process.stop()
            self._addresses("del")

    def ctl_command(self):
        return "weirctl"

    def region(self, name):
        """It has none."""
        return {"name": name, "active": True, "automatic": "unknown"}

    def complaints(self):
        return ""
