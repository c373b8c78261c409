"""Weir and weir-load on one machine, joined by two pairs of memif interfaces: no kernel between.

    site = MemifSite(workers=1, limits={...})
    with site:
        result = site.load("--connections", 100, "--duration", 3)   # weir-load's JSON
        stats = site.stats()

Weir is the server of both pairs (10.9.0.80, fd09::80 port 80 in front; 10.8.0.0/16, fd08::/64 behind),
weir-load connects. Needs no root; with huge=True pages must have been reserved.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import accounts

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", os.path.join(TREE, "build")))
DAEMON = os.path.join(BUILD, "control", "weir")
WEIRCTL = os.path.join(BUILD, "control", "weirctl", "weirctl")
LOAD = os.path.join(BUILD, "tests", "load", "weir-load")
TARGET4, TARGET6 = "10.9.0.80:80", "[fd09::80]:80"
SOURCES4, SOURCES6 = "10.9.1.1-10.9.1.64", "fd09::1:1-fd09::1:40"


# Origins come and go with weir-load: Weir is to try them whatever happened before.
HEALTH = {"probe": "tcp", "interval_up": "500ms", "interval_down": "500ms",
          "rise": 1, "fall": 100, "connect_failures": 1000, "eject_failures": 1000}


class SiteError(Exception):
    pass


def wait_until(condition, timeout_s, what):
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise SiteError(f"waited {timeout_s} s for {what}")
        time.sleep(0.02)


def memory_mib(pid):
    """What a process has of ordinary and of huge pages, MiB."""
    values = {"VmRSS": 0, "HugetlbPages": 0}
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            key = line.split(":")[0]
            if key in values:
                values[key] = int(line.split()[1])
    return (values["VmRSS"] + values["HugetlbPages"]) / 1024


def read_result(process, path, check=True):
    """What a weir-load that has ended wrote to PATH.json, "status" (exit status) and "table" in it."""
    with open(path + ".log", encoding="utf-8", errors="replace") as file:
        log = file.read()
    if process.returncode not in (0, 1) or (check and process.returncode != 0):
        raise SiteError(f"weir-load ended with {process.returncode}:\n{log}")
    with open(path + ".json", encoding="utf-8") as file:
        result = json.load(file)
    result["status"], result["table"] = process.returncode, log
    return result


class MemifSite:
    def __init__(self, workers=1, limits=None, idle="adaptive", huge=False, mbufs=8192, cpu=None,
                 extra=None):
        self.workers, self.limits, self.idle = workers, limits or {}, idle
        self.huge, self.mbufs, self.cpu = huge, mbufs, cpu
        self.backends = [{"name": "b4", "address": "10.8.0.2", "port": 8080},
                         {"name": "b6", "address": "fd08::2", "port": 8080}]
        self.extra = extra or {}
        self.directory = self.weir = self.log = None

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="weir-memif-")
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc):
        self.stop()

    def path(self, name):
        return os.path.join(self.directory, name)

    def device(self, side, role):
        return (f"net_memif_{side},role={role},id=0,socket-abstract=no,socket={self.path(side)},"
                f"rsize=11")

    def config(self):
        def port(name, *addresses):
            return {"name": name, "device": self.device(name, "server"), "mbufs": self.mbufs,
                    "interfaces": [{"addresses": list(addresses), "gateway_v4": GATEWAYS[name][0],
                                    "gateway_v6": GATEWAYS[name][1]}]}
        eal = ["--log-level=error"]
        if self.cpu is not None:
            eal += ["--lcores", f"0@(0-1),1@{self.cpu}"]
        if not self.huge:
            eal += ["--no-huge"]
        return {
            "node": "load", "state_dir": self.path("state"), "workers": self.workers,
            "idle": self.idle, "eal": eal,
            "ports": [port("front", "10.9.0.10/16", "fd09::10/64"),
                      port("back", "10.8.0.10/16", "fd08::10/64")],
            "listeners": [{"name": "web4", "address": "10.9.0.80", "port": 80},
                          {"name": "web6", "address": "fd09::80", "port": 80}],
            "regions": [{"name": "here"}],
            "services": [{"name": "load", "health": HEALTH,
                          "regions": {"here": {"backends": self.backends}}}],
            "routes": [{"name": "all", "path": "/", "service": "load"}],
            "failover": {"single_node": True},
            "store": {"kind": "memory"},
            "control": {"socket": self.path("control.sock")},
            "limits": self.limits,
            **self.extra,
        }

    def start(self):
        os.makedirs(self.path("state"))
        with open(self.path("weir.json"), "w", encoding="utf-8") as file:
            json.dump(self.config(), file, indent=1)
        with open(self.path("weir.log"), "wb") as log:
            self.weir = subprocess.Popen([DAEMON, "--config", self.path("weir.json")], stdout=log,
                                         stderr=log, stdin=subprocess.DEVNULL)
        wait_until(self.is_up, 120, "Weir to start")

    def is_up(self):
        if self.weir.poll() is not None:
            raise SiteError(f"Weir ended with {self.weir.returncode}:\n{self.weir_log()}")
        answer = subprocess.run([WEIRCTL, "--socket", self.path("control.sock"), "status"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return answer.returncode == 0

    def weir_log(self):
        with open(self.path("weir.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        if self.weir is not None and self.weir.poll() is None:
            self.weir.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.weir.wait(60)
            if self.weir.poll() is None:
                self.weir.kill()
                self.weir.wait()
        if self.directory is not None and not os.environ.get("WEIR_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def ctl(self, *arguments):
        answer = subprocess.run([WEIRCTL, "--socket", self.path("control.sock"), "--json",
                                 *arguments], capture_output=True, check=True, timeout=60)
        return json.loads(answer.stdout)

    def counters(self):
        """{"layer.name": sum of all workers}"""
        return {name: entry["sum"] for name, entry in self.ctl("stats")["counters"].items()}

    def gauges(self):
        return self.ctl("worker", "list")["workers"]

    def memory_mib(self):
        return memory_mib(self.weir.pid)

    def thread_ns(self):
        """{name of a thread: its CPU time}"""
        return accounts.thread_ns(self.weir.pid)

    def worker_ns(self):
        """What the workers' threads have had of CPUs: what others take away does not count."""
        return sum(ns for name, ns in self.thread_ns().items() if "worker" in name)

    def arguments(self, *options, role="both", families=("v4", "v6"), name="result"):
        argv = [LOAD, "--role", role, "--json", self.path(name + ".json")]
        if role != "origin":
            argv += ["--front", self.device("front", "client"), "--front-address", "10.9.0.1/16",
                     "--front-address", "fd09::1/64"]
            if "v4" in families:
                argv += ["--target", TARGET4, "--sources", SOURCES4]
            if "v6" in families:
                argv += ["--target", TARGET6, "--sources", SOURCES6]
        if role != "client":
            argv += ["--back", self.device("back", "client"), "--back-address", "10.8.0.2/16",
                     "--back-address", "10.8.0.1/16", "--back-address", "fd08::2/64",
                     "--back-address", "fd08::1/64"]
        if role == "both":
            argv += ["--wait", str(len(self.backends))]  # probes: Weir has found the way here
        argv += ["--huge"] if self.huge else []
        return argv + [str(option) for option in options]

    def spawn(self, *options, name="result", **more):
        log = open(self.path(name + ".log"), "wb")
        with log:
            return subprocess.Popen(self.arguments(*options, name=name, **more), stdout=log,
                                    stderr=log, stdin=subprocess.DEVNULL)

    def load(self, *options, timeout_s=300, name="result", check=True, **more):
        """Runs weir-load to its end. Its result, with "status" (exit status) in it."""
        process = self.spawn(*options, name=name, **more)
        try:
            process.wait(timeout_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return self.result(process, name, check)

    def result(self, process, name="result", check=True):
        try:
            return read_result(process, self.path(name), check)
        except SiteError as error:
            raise SiteError(f"{error}\n--- Weir\n{self.weir_log()[-2000:]}") from None


GATEWAYS = {"front": ("10.9.0.1", "fd09::1"), "back": ("10.8.0.1", "fd08::1")}
