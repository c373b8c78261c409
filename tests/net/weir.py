"""Weir as the proxy under test: its configuration, its process, its control socket.

Everything tests, demonstration and benchmark know about the daemon is in this file and in
scripts/demo/weir.json, from which the configurations are made.
"""
import copy
import json
import os
import signal
import sys

from edge_site import BACKEND_PORT, BACKEND_TLS_PORT, OVER_TLS, PROTOCOL
from netlab import VIP4, VIP6, LabError

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TREE, "tests", "support"))
import certificates                                                        # noqa: E402

DEMO_CONFIG = os.path.join(TREE, "scripts", "demo", "weir.json")
BUILD = os.environ.get("WEIR_BUILD", os.path.join(TREE, "build"))
CHANNELS = os.path.join(BUILD, "tests", "support", "libveth_channels.so")
METRICS = "127.0.0.1:9180"
SANITIZER_WORDS = ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer")


def read_demo_config():
    with open(DEMO_CONFIG, encoding="utf-8") as file:
        return json.load(file)


def with_workers(config, workers):
    """The same with another number of workers, each with a queue of every AF_XDP port."""
    config = copy.deepcopy(config)
    config["workers"] = workers
    for port in config["ports"]:
        parts = [part for part in port["device"].split(",")
                 if not part.startswith("queue_count=")]
        port["device"] = ",".join([*parts, f"queue_count={workers}"])
    return config


def spoken_over_tls(services, directory):
    """Their backends listen there, too."""
    tls = {"ca_file": os.path.join(directory, "ca.pem"), "server_name": "backend.example"}
    for service in services:
        for region in service["regions"].values():
            region.setdefault("tls", tls)
            for backend in region["backends"]:
                if backend["port"] == BACKEND_PORT:
                    backend["port"] = BACKEND_TLS_PORT


class Weir:
    name = "weir"
    features = frozenset({"tls", "every-rule", "coalesce", "post-body", "failover", "store", "drain",
                          "privileges", "hang", "cookies", "http2-only", "idle", "max-forwards", "held-bytes",
                          "tunnels", "keepalive", "access-log", "metrics"})
    drain_signal = signal.SIGTERM
    daemon = os.path.join(BUILD, "control", "weir")
    weirctl = os.path.join(BUILD, "control", "weirctl", "weirctl")
    namespace = "edge"                   # where it runs
    label = "weir"                       # its logs are LABEL-1.log, ...

    def __init__(self, site, workers):
        self.site, self.workers = site, workers
        self.config = with_workers(read_demo_config(), workers)
        self.process = None
        self.starts = 0
        self.complained = set()          # starts whose complaints were told

    @property
    def directory(self):
        return self.site.lab.directory

    def prepare(self):
        """Writes the configuration with the lab's own paths in it."""
        directory = self.directory
        for service in self.config["services"]:
            service.setdefault("protocol", PROTOCOL)
        if OVER_TLS:
            spoken_over_tls(self.config["services"], os.path.join(directory, "tls"))
        self.config["state_dir"] = os.path.join(directory, "state")
        self.config["control"]["socket"] = os.path.join(directory, "control.sock")
        self.config["log"] = {"access": {"path": self.access_log()}}
        self.config["metrics"] = {"listen": METRICS}
        # Sooner than by default, so that cases can wait for it.
        limits = self.config.setdefault("limits", {})
        limits["client_stall_timeout"] = limits["client_idle_timeout"] = "10s"
        routes = self.config["routes"]
        if all(route["name"] != "tunnels" for route in routes):
            rest = next(route for route in routes if route["name"] == "rest")
            routes.append({**rest, "name": "tunnels", "path": "/tunnel", "idle_timeout": "6s",
                           "extended_connect": ["websocket"]})
            routes.append({**rest, "name": "events", "path": "/events/",
                           "event_stream_keepalive": "1s", "coalesce": {"mode": "get"}})
        self.prepare_tls(os.path.join(directory, "tls"))
        os.makedirs(self.config["state_dir"], exist_ok=True)
        path = os.path.join(directory, "weir.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=2)
        return path

    def prepare_tls(self, directory):
        """The same service addresses, with TLS on port 443."""
        if not os.path.isdir(directory):
            certificates.make(directory, (VIP4, VIP6))
        if "certificates" in self.config:
            return
        self.config["certificates"] = [
            {"name": name, "chain_file": os.path.join(directory, name + ".pem"),
             "key_file": os.path.join(directory, name + ".key")} for name in ("site", "wild")]
        self.config["certificates"][0]["ocsp_file"] = os.path.join(directory, "site.ocsp")
        self.config["tls"] = {"ticket_key_file": os.path.join(directory, "tickets.key")}
        self.config["listeners"] += [
            {"name": f"tls{version}", "address": address, "port": 443,
             "tls": {"certificates": ["site", "wild"]}}
            for version, address in ((4, VIP4), (6, VIP6))]
        self.config["listeners"].append(
            {"name": "mutual", "address": VIP4, "port": 444,
             "tls": {"certificates": ["site"], "client_certificate": "require",
                     "client_ca_file": os.path.join(directory, "ca.pem")}})

    def start(self, cpu=None):
        path = self.prepare()
        self.starts += 1
        self.process = self.site.lab.spawn(
            self.namespace, [*self.environment(), self.daemon, "--config", path],
            f"{self.label}-{self.starts}", cpu=cpu)

    def environment(self):
        """DPDK's AF_XDP driver gives veth one queue unless it is told how many there are."""
        if self.workers == 1:
            return []
        settings = [f"LD_PRELOAD={CHANNELS}"]
        if os.environ.get("WEIR_SANITIZED"):
            options = os.environ.get("ASAN_OPTIONS", "")
            settings.append(f"ASAN_OPTIONS={options}:verify_asan_link_order=0")
        return ["env", *settings]

    def alive(self):
        return self.process is not None and self.process.alive()

    def stop(self):
        if self.alive():
            self.process.stop(40)

    def forget(self):
        """Removes what the next start would remember."""
        state_dir = os.path.join(self.directory, "state")
        for name in os.listdir(state_dir) if os.path.isdir(state_dir) else ():
            os.unlink(os.path.join(state_dir, name))

    def complaints(self):
        """What sanitizers said since the last call; "" when nothing."""
        for number in range(1, self.starts + 1):
            if number in self.complained:
                continue
            with open(self.site.lab.path(f"{self.label}-{number}.log"), encoding="utf-8",
                      errors="replace") as file:
                text = file.read()
            at = min((text.find(word) for word in SANITIZER_WORDS if word in text), default=-1)
            if at >= 0:
                self.complained.add(number)
                return text[at:at + 4000]
        return ""

    # the access log
    def access_log(self):
        return os.path.join(self.site.lab.directory, "access.log")

    def records(self, **members):
        """The lines since the log was last rotated that have these members."""
        with open(self.access_log(), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file.read().split("\n")[:-1]]
        return [line for line in lines
                if all(line.get(name) == value for name, value in members.items())]

    def rotate(self):
        """The log begins anew; returns where the old one is."""
        old = self.access_log() + ".1"
        os.rename(self.access_log(), old)
        self.ctl("log", "reopen")
        return old

    def monitor(self, path, check=True):
        """A page of the metrics endpoint, as monitoring on the host sees it: (status, text)."""
        done = self.site.lab.run("edge", ["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}",
                                          f"http://{METRICS}{path}"], check=check)
        text, _, status = done.stdout.decode().rpartition("\n")
        return int(status or 0), text

    def metrics(self):
        """{name with labels: value} of /metrics."""
        status, text = self.monitor("/metrics")
        if status != 200:
            raise LabError(f"/metrics answered {status}: {text[:200]}")
        return {name: float(value) for name, _, value in
                (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}

    def metric(self, name):
        """The sum over all labels."""
        found = [value for key, value in self.metrics().items() if key.split("{")[0] == name]
        if not found:
            raise LabError(f"no metric {name}")
        return sum(found)

    # weirctl
    def ctl_text(self, *arguments, check=True):
        argv = [self.weirctl, "--socket", self.config["control"]["socket"], *arguments]
        return self.site.lab.run(self.namespace, argv, check=check, timeout_s=20).stdout.decode()

    def ctl(self, *arguments):
        text = self.ctl_text("--json", *arguments)
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            raise LabError(f"weirctl {' '.join(arguments)} gave no JSON: {text[:500]}") from None

    def ctl_command(self):
        """weirctl as one would type it."""
        return f"{self.weirctl} --socket {self.config['control']['socket']}"

    def region(self, name):
        """{"name", "active", "automatic", ...} as `weirctl region list` has it."""
        return next(entry for entry in self.ctl("region", "list")["regions"]
                    if entry["name"] == name)

    def backend(self, name):
        return next(entry for entry in self.ctl("backend", "list")["backends"]
                    if entry["name"] == name)

    def settled(self):
        """Nothing of any client is left: connections, requests, flights and what these hold."""
        return all(worker[name] == 0 for worker in self.ctl("worker", "list")["workers"]
                   for name in ("open_clients", "open_exchanges", "open_flights",
                                "held_by_flights"))

    def store_connected(self):
        return self.ctl("status")["store"]["state"] == "connected"

    # what the cluster's state looks like in Redis
    @property
    def state_key(self):
        return f"weir:{{{self.config['store']['cluster']}}}:state"  # the braces: one cluster slot

    def redis_text(self):
        return self.site.redis.cli("hgetall", self.state_key)

    def region_in_redis(self, name):
        return self.site.redis.cli("hget", self.state_key, f"region:{name}:auto")
