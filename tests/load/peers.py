"""Weir and the best that Debian has, in one rig: same clients, same files, one core for the proxy.

h2load and the origins share core 0, the proxy has core 1; between them is veth. Kernel proxies have
what the kernel offers them there (segments of 64 KiB, no checksums); Weir's ports cannot, and have
frames of 1,500 bytes over AF_XDP in copy mode. Their configurations are in proxies/. Origins are
nghttpd (HTTP/2) and, for those that have no HTTP/2 towards origins, nginx (HTTP/1.1).
"""
import functools
import json
import os
import resource
import statistics
import string
import sys
import time

from accounts import Account
from direct import Direct
from results import Result, median_of

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "net"))
from edge_site import (URL4, Backend, Site, parse_h2load,                  # noqa: E402
                       tls_directory)
from netlab import BACK4, BACK6, BACKENDS, REGIONS, VIP4, VIP6, wait_until  # noqa: E402
from weir import Weir                                                      # noqa: E402

PROXY_CPU, OTHERS_CPU = 1, 0
H2_PORT, H1_PORT = 8080, 8081
ORIGINS = REGIONS["eu"]
FILES = {"64": 64, "1m": 1 << 20, "slow": 900, "index.html": 100, "healthz": 2}
PACE = 0.7                      # of what is possible, where generator and proxy are to have headroom
NEW_RATE, NEW_SECONDS = 3000, 3 # connections a second
STRANGERS_MOST = 0.1            # of what the machine did, before figures are called rough


def filled(file_name, **values):
    """The text of proxies/FILE_NAME with what it asks for."""
    with open(os.path.join(HERE, "proxies", file_name), encoding="utf-8") as file:
        template = string.Template(file.read())
    one, two = (BACKENDS[origin][0] for origin in ORIGINS)
    regions = {name.replace("-", "_"): addresses[0] for name, addresses in BACKENDS.items()}
    return template.safe_substitute(vip=VIP4, one=one, two=two, h2_port=H2_PORT, h1_port=H1_PORT,
                                    **regions, **values)


def write_filled(lab, file_name, **values):
    path = lab.path(f"{values.get('name', 'proxy')}-{file_name}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(filled(file_name, directory=lab.directory, **values))
    return path


class Origin(Backend):
    """The same files over HTTP/2 and over HTTP/1.1."""

    def start(self):
        if self.process and self.process.alive():
            return
        lab, address = self.lab, BACKENDS[self.name][0]
        root = lab.path("files")
        os.makedirs(root, exist_ok=True)
        for name, size in FILES.items():
            with open(os.path.join(root, name), "wb") as file:
                file.write(b"x" * size)
        self.process = lab.spawn(self.name, ["nghttpd", "--no-tls", "-d", root, "-m", 1000, H2_PORT],
                                 self.name, cpu=OTHERS_CPU)
        config = write_filled(lab, "origin.conf", name=self.name, address=address)
        self.plain = lab.spawn(self.name, ["nginx", "-c", config], f"{self.name}-plain",
                               cpu=OTHERS_CPU)

    def pids(self):
        return [self.process.pid, self.plain.pid]


class Peer:
    """A kernel proxy in Weir's place: the host has Weir's addresses while it runs."""

    def __init__(self, site, workers):
        self.site, self.process = site, None

    def argv(self):
        """The command, its configuration written."""
        raise NotImplementedError

    def start(self):
        self._addresses("add")
        self._offloads()
        self.process = self.site.lab.spawn("edge", self.argv(), self.name,
                                           cpu=PROXY_CPU)

    def config(self):
        return write_filled(self.site.lab, self.file)

    def _addresses(self, verb):
        for interface, address in (("front", f"{VIP4}/24"), ("front", f"{VIP6}/64"),
                                   ("back", f"{BACK4}/16"), ("back", f"{BACK6}/64")):
            self.site.lab.run("edge", ["ip", "addr", verb, address, "dev", interface], check=False)

    def _offloads(self):
        """What the lab turned off for programs that read frames themselves."""
        ends = [("edge", "front"), ("edge", "back"), ("clients", "eth0"),
                *((name, "eth0") for name in BACKENDS), *(("fabric", name) for name in BACKENDS),
                ]
        for name, interface in ends:
            self.site.lab.run(name, ["ethtool", "-K", interface, "tx", "on", "tso", "on", "gso", "on",
                                     "gro", "on"])

    def alive(self):
        return self.process is not None and self.process.alive()

    def forget(self):
        """Nothing is kept."""

    def stop(self):
        if self.alive():
            self.process.stop()
            self._addresses("del")


class Haproxy(Peer):
    name = "haproxy"
    file = "haproxy.cfg"

    def _join_certificate(self):
        """It wants the certificate and its key in one file."""
        base = os.path.join(tls_directory(self.site.lab), "site")
        with open(f"{base}-both.pem", "wb") as both:
            for end in (".pem", ".key"):
                with open(base + end, "rb") as one:
                    both.write(one.read())

    def argv(self):
        self._join_certificate()
        return ["haproxy", "-db", "-f", self.config()]


class Nghttpx(Peer):
    name = "nghttpx"
    file = "nghttpx.conf"

    def argv(self):
        return ["nghttpx", "--conf", self.config()]


class Nginx(Peer):
    name = "nginx"
    file = "nginx.conf"

    def argv(self):
        return ["nginx", "-c", self.config()]


class H2o(Peer):
    name = "h2o"
    file = "h2o.conf"

    def argv(self):
        return ["h2o", "-c", self.config()]


# What Varnish need not write to its log in memory: nobody reads it.
QUIET = ",".join(f"-{tag}" for tag in (
    "ReqMethod", "ReqURL", "ReqProtocol", "ReqHeader", "RespProtocol", "RespStatus", "RespReason",
    "RespHeader", "BereqMethod", "BereqURL", "BereqProtocol", "BereqHeader", "BerespProtocol",
    "BerespStatus", "BerespReason", "BerespHeader", "Timestamp", "ReqAcct", "BereqAcct", "VCL_call",
    "VCL_return", "Begin", "End", "Link", "BackendOpen", "BackendClose", "Fetch_Body", "Length"))


class Varnish(Peer):
    """Each stream is a thread: as many as are under way stand ready."""
    name = "varnish"
    file = "varnish.vcl"

    def argv(self):
        return ["varnishd", "-F", "-j", "none", "-n", self.site.lab.path("varnish"), "-a",
                f"{VIP4}:80", "-f", self.config(), "-s", "malloc,64m",
                "-p", "feature=+http2", "-p", "thread_pools=1", "-p", "thread_pool_min=500",
                "-p", "thread_pool_max=4000", "-p", f"vsl_mask={QUIET}", "-T", "none"]


class BenchWeir(Weir):
    """One region, and no access log: the others write none either."""

    def __init__(self, site, workers):
        super().__init__(site, workers)
        del self.config["regions"][1:]
        for service in self.config["services"]:
            service["regions"].pop("us", None)
        self.config["limits"] = {"client_connections": 16384, "exchanges": 4096, "flights": 4096,
                                 "time_wait": 65536}
        for route in self.config["routes"]:
            route.pop("hold_first_byte", None)

    def prepare(self):
        path = super().prepare()
        self.config.pop("log")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=2)
        return path


PROXIES = {"weir": BenchWeir, "haproxy": Haproxy, "nghttpx": Nghttpx, "nginx": Nginx, "h2o": H2o,
           "varnish": Varnish}


class PeerSite(Site):
    """Only region eu exists, made of Origin."""

    def __init__(self, proxy_class):
        super().__init__(proxy_class, workers=1)
        self.backends = {name: Origin(self.lab, name) for name in ORIGINS}

    def start_proxy(self):
        self.proxy.start()              # Weir pins its worker itself: with one worker on CPU 1
        wait_until(self.proxy_ready, 60, f"{self.proxy.name} to serve a page")

    def account(self):
        origins = [pid for backend in self.backends.values() for pid in backend.pids()]
        return Account.now([self.proxy.process.pid], origins)

    def busy_cycles(self):
        """Of Weir's worker, ever; None: another proxy."""
        if self.proxy.name != "weir":
            return None
        return self.proxy.ctl("stats")["counters"]["worker.busy_cycles"]["sum"]

    def cost_of(self, argv, timeout_s=120):
        """(what a client printed, what it cost)"""
        cycles, before, began = self.busy_cycles(), self.account(), time.monotonic()
        done = self.lab.run("clients", argv, cpu=OTHERS_CPU, timeout_s=timeout_s)
        lasted, spent, after = time.monotonic() - began, self.account() - before, self.busy_cycles()
        return done.stdout.decode(), {"seconds": lasted, "spent": spent,
                                      "cycles": None if cycles is None else after - cycles}

    def load(self, *arguments, timeout_s=120):
        """h2load's result, and what it cost."""
        text, cost = self.cost_of(["h2load", "-t", 1, *arguments], timeout_s)
        result = parse_h2load(text)
        failed = result["failed"] + result["4xx"] + result["5xx"]
        return {"requests": result["2xx"], "failed": failed, "rate": result["rate"], **cost}


def cost_figures(run):
    """Per request: of the proxy, of everything that ran for it, and of Weir's worker when busy."""
    done, spent = max(run["requests"], 1), run["spent"]
    figures = {"requests/s": run["rate"], "core us": spent.proxy_ns / done / 1e3,
               "core %": spent.proxy_ns / run["seconds"] / 1e7,
               "all CPU us": spent.rig_ns / done / 1e3, "failed": run["failed"]}
    if run["cycles"] is not None:
        figures["busy us"] = 1e6 * run["cycles"] / done / cycles_per_second()
    return figures


@functools.cache
def cycles_per_second():
    """Of the time stamp counter, as weir-load was told by DPDK."""
    with Direct() as direct:
        client, _ = direct.load("--requests", 1)
    return client["cycles_per_second"]


def bulk_figures(run):
    bits, figures, spent = 8 * FILES["1m"] * run["requests"], cost_figures(run), run["spent"]
    return {"Gbit/s": bits / run["seconds"] / 1e9,
            "Gbit/s a core": bits / max(spent.proxy_ns, 1), "core %": figures["core %"],
            "failed": run["failed"]}


def generator_share(run):
    """How much of their core clients and origins took."""
    return (run["spent"].others_ns + run["spent"].softirq_ns) / 1e9 / run["seconds"]


def small_runs(site, seconds):
    """{how: run}"""
    shape = ("-c", 8, "-m", 32, "-D", seconds)
    fastest = site.load(*shape, f"{URL4}/64")
    paced = max(1, int(PACE * fastest["rate"] / 8))
    return {"full speed": fastest,
            f"{100 * PACE:.0f} %": site.load(*shape, f"--rps={paced}", f"{URL4}/64")}


def measure(name, seconds):
    """{(shape, how): (figures, generator's share, strangers' share)}"""
    with PeerSite(PROXIES[name]) as site:
        site.load("-c", 8, "-m", 32, "-n", 2000, f"{URL4}/64")  # connections, memory: warm
        runs = {("small", how): (cost_figures(run), run)
                for how, run in small_runs(site, seconds).items()}
        bulk = site.load("-c", 8, "-m", 4, "-w", 20, "-W", 24, "-D", seconds, f"{URL4}/1m")
        runs["bulk", None] = bulk_figures(bulk), bulk
        count = NEW_RATE * NEW_SECONDS
        new = site.load("-n", count, "-c", count, "-r", NEW_RATE, "-m", 1, f"{URL4}/64")
        runs["conn", None] = cost_figures(new), new
    return {case: (figures, generator_share(run), run["spent"].strangers)
            for case, (figures, run) in runs.items()}


def raise_file_limit():
    """As far as the host lets us: proxies and clients inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


SHAPES = {"small": "64-byte answers, 8 connections x 32 streams",
          "bulk": "1 MiB answers, 8 connections x 4 streams",
          "conn": f"A new connection for every 64-byte answer, {NEW_RATE:,} at the beginning of each "
                  "second"}


def collect(names, runs, seconds):
    """{shape: {row: [(figures, generator's share, strangers' share) of every run]}}"""
    measured = {shape: {} for shape in SHAPES}
    for _ in range(runs):                       # proxies take turns
        for name in names:
            for (shape, how), values in measure(name, seconds).items():
                row = f"{name}, {how}" if how else name
                measured[shape].setdefault(row, []).append(values)
    return measured


def note_strangers(result, strangers):
    """STRANGERS: the largest share of a run."""
    if strangers > STRANGERS_MOST:
        result.note(f"Up to {100 * strangers:.0f} % of what the machine did was nobody's of the rig: "
                    "other programs ran, and the figures are rough.")


def peers(options):
    raise_file_limit()
    measured = collect(options.proxy or PROXIES, options.runs, max(1, int(options.seconds)))
    out = []
    for shape, title in SHAPES.items():
        result = Result(f"peers-{shape}", f"{title}; one core for the proxy, kernel clients and origins")
        for row, runs in measured[shape].items():
            result.add(row, median_of([figures for figures, _, _ in runs]),
                       statistics.median(share for _, share, _ in runs))
        strangers = max(stranger for runs in measured[shape].values() for _, _, stranger in runs)
        note_strangers(result, strangers)
        out.append(result)
    return out
