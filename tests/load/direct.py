"""weir-load's client against its own origin, over one memif pair, without Weir between.

What comes out is what the generator itself can do: its headroom, and the latency that is there
without Weir. Client and origin are two processes here, one on each core; as one process on one core
they need the time of both.
"""
import os
import signal
import subprocess
import tempfile

from memif_site import LOAD, SiteError, read_result, wait_until

SIZE = "rsize=11"


class Direct:
    """with Direct() as direct: client, origin = direct.load("--connections", 8, ...)"""

    def __enter__(self):
        self.room = tempfile.TemporaryDirectory(prefix="weir-direct-")
        return self

    def __exit__(self, *exc):
        self.room.cleanup()

    def path(self, name):
        return os.path.join(self.room.name, name)

    def spawn(self, role, port, role_of_port, address, *options):
        device = (f"net_memif_{port},role={role_of_port},id=0,socket-abstract=no,"
                  f"socket={self.path('socket')},{SIZE}")
        argv = [LOAD, "--role", role, f"--{port}", device, f"--{port}-address", address, "--poll",
                "--json", self.path(role + ".json"), "--quiet", *map(str, options)]
        with open(self.path(role + ".log"), "wb") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def load(self, *options, timeout_s=120):
        """The results of both; the options are the client's."""
        if os.path.exists(self.path("socket")):
            os.unlink(self.path("socket"))
        origin = self.spawn("origin", "back", "server", "10.9.0.80/16", "--listen", 80,
                            "--duration", timeout_s, "--cpu", 1)
        try:
            wait_until(lambda: os.path.exists(self.path("socket")) or origin.poll() is not None, 30,
                       "the origin")
            client = self.spawn("client", "front", "client", "10.9.0.1/16", "--target",
                                "10.9.0.80:80", "--sources", "10.9.1.1-10.9.1.64", "--cpu", 0,
                                *options)
            try:
                client.wait(timeout_s)
            finally:
                if client.poll() is None:
                    client.kill()
                    client.wait()
            origin.send_signal(signal.SIGTERM)
            origin.wait(30)
        except subprocess.TimeoutExpired:
            raise SiteError("weir-load against itself does not end") from None
        finally:
            if origin.poll() is None:
                origin.kill()
                origin.wait()
        return (read_result(client, self.path("client")), read_result(origin, self.path("origin")))


def busy_ns(result):
    """Time spent in turns that found something, of all phases: their share of the cycles, of the CPU
    time that there was."""
    return sum(phase["busy"] * phase["cpu_ns"] for phase in result["phases"].values())


def capacity(*options, origin_options=None):
    """Requests a second that client and origin could do together on one core, if nobody but
    themselves kept them waiting: the inverse of what one costs both. With ORIGIN_OPTIONS the origin's
    part is that of those requests: behind Weir it sees no new connections."""
    with Direct() as direct:
        client, origin = direct.load(*options)
        each = busy_ns(client) / client["requests"]
        if origin_options is not None:
            client, origin = direct.load(*origin_options)
    return 1e9 / (each + busy_ns(origin) / client["requests"])


def latency(*options):
    """{"p50": ns, ...}"""
    with Direct() as direct:
        client, _ = direct.load(*options)
    return client["phases"]["run"]["latency_ns"]
