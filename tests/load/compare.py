#!/usr/bin/python3
"""Requests per second through proxies that get one core; see scripts/bench."""
import argparse
import importlib
import os
import statistics
import sys

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TREE, "tests", "net"))
from edge_site import BACKEND_PORT, URL4, Backend, Site, parse_h2load      # noqa: E402
from netlab import BACKENDS, REGIONS, LabError, wait_until                 # noqa: E402

PROXY_CPU, OTHERS_CPU = 1, 0
SIZES = {"1k": 1024, "16k": 16384, "256k": 262144}
# (file, connections, streams each)
SHAPES = (("1k", 1, 50), ("1k", 32, 10), ("1k", 256, 1), ("16k", 32, 10), ("256k", 8, 2))


class FileBackend(Backend):
    """nghttpd with a few static files."""

    def start(self):
        if self.process and self.process.alive():
            return
        root = self.lab.path("files")
        os.makedirs(root, exist_ok=True)
        for name, size in {**SIZES, "index.html": 100, "healthz": 2}.items():
            with open(os.path.join(root, name), "wb") as file:
                file.write(b"x" * size)
        self.process = self.lab.spawn(self.name, ["nghttpd", "--no-tls", "-d", root,
                                                  BACKEND_PORT], self.name, cpu=OTHERS_CPU)


class BenchSite(Site):
    """Only region eu exists, made of FileBackend; the proxy is pinned."""

    def __init__(self, proxy_class):
        super().__init__(proxy_class, workers=1)
        self.backends = {name: FileBackend(self.lab, name) for name in REGIONS["eu"]}

    def start_proxy(self):
        if self.proxy.name == "nghttpx":
            backends = [BACKENDS[name][0] for name in REGIONS["eu"]]
            self.proxy.start(cpu=PROXY_CPU, backends=backends)
        else:
            self.proxy.start()          # pins its worker itself: with one worker on CPU 1
        wait_until(self.proxy_ready, 30, f"{self.proxy.name} to serve a page")

    def measure(self, file, connections, streams, seconds):
        """(requests a second, share of the proxy's core)."""
        arguments = ["h2load", "-t", 1, "-c", connections, "-m", streams, "-D", seconds,
                     "--warm-up-time=1s", f"{URL4}/{file}"]
        before = cpu_seconds(self.proxy.process.pid)
        done = self.lab.run("clients", arguments, cpu=OTHERS_CPU, timeout_s=seconds + 60)
        used = (cpu_seconds(self.proxy.process.pid) - before) / (seconds + 1)
        result = parse_h2load(done.stdout.decode())
        if result["failed"] or result["4xx"] or result["5xx"]:
            raise LabError(f"{self.proxy.name} lost requests:\n{result['text']}")
        return result["rate"], used


def cpu_seconds(pid):
    """Processor time of a process and its children so far."""
    total = 0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if pid in (int(entry), int(fields[1])):
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def measure_all(names, runs, seconds):
    """{(shape, name): [(rate, share) of every run]}; proxies take turns."""
    results = {}
    for _ in range(runs):
        for name in names:
            proxy = getattr(importlib.import_module(name), name.capitalize())
            with BenchSite(proxy) as site:
                for shape in SHAPES:
                    results.setdefault((shape, name), []).append(site.measure(*shape, seconds))
    return results


def print_table(names, results):
    heads = "".join(f" {name + ' req/s':>16} {'cpu':>6}" for name in names)
    print(f"{'body':>6} {'conns':>6} {'streams':>8}{heads}")
    for shape in SHAPES:
        row = f"{shape[0]:>6} {shape[1]:>6} {shape[2]:>8}"
        for name in names:
            rates, shares = zip(*results[shape, name])
            row += f" {statistics.median(rates):>16,.0f} {statistics.median(shares):>6.0%}"
        print(row)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--proxy", action="append", choices=("weir", "nghttpx"))
    options = parser.parse_args()
    if os.cpu_count() < 2:
        sys.exit("needs two cores: one for the proxy, one for everything else")
    names = options.proxy or ["weir", "nghttpx"]
    print_table(names, measure_all(names, options.runs, options.seconds))


if __name__ == "__main__":
    main()
