#!/usr/bin/python3
"""idle.py [--connections N] [--huge] [--seconds S] [--json FILE]

Many idle connections on one worker over memif, and what becomes of requests on others: their rate
and latency before, while the idle ones are opened, and while they are held, and the memory all this
took. Without --connections a million, or fewer if memory is short (8 KiB each, both sides together,
and 2 GiB). Environment: WEIR_BUILD (the build directory).
"""
import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memif_site import MemifSite, SiteError, memory_mib, wait_until         # noqa: E402

KIB_EACH = 8
SPARE_MIB = 2048


def affordable():
    with open("/proc/meminfo", encoding="ascii") as file:
        values = {line.split(":")[0]: int(line.split()[1]) for line in file}
    kib = values["MemAvailable"] - SPARE_MIB * 1024
    return max(10000, min(1000000, kib // KIB_EACH))


def limits(connections):
    return {"client_connections": connections + 2048, "streams": 65536, "exchanges": 4096,
            "flights": 4096, "time_wait": 16384, "payload_bytes": "64MiB"}


def phase_line(name, phase):
    latency = phase["latency_ns"]
    return (f"{name:9} {phase['seconds']:8.2f} {phase['requests_per_second']:10.0f}"
            f" {latency['p50'] / 1e3:9.0f} {latency['p99'] / 1e3:9.0f} {latency['max'] / 1e3:9.0f}"
            f" {100 * phase['busy']:5.0f}%")


def open_clients(site):
    return sum(worker["open_clients"] for worker in site.gauges())


def measure(options):
    count = options.connections
    site = MemifSite(limits=limits(count), huge=options.huge, idle="adaptive", mbufs=16384)
    with site:
        before = site.counters()
        result = {"connections": count, "memory_before_mib": site.memory_mib()}
        process = site.spawn("--connections", 64, "--streams", 1, "--rate", options.rate, "--idle",
                             count, "--baseline", 5, "--duration", options.seconds,
                             "--hold", options.seconds, "--mbufs", 16384, "--quiet")
        try:
            wait_until(lambda: open_clients(site) >= count or process.poll() is not None, 300,
                       f"{count} connections")
            time.sleep(min(5, options.seconds / 2))
            result["open_clients"] = open_clients(site)
            result["memory_held_mib"] = site.memory_mib()
            result["generator_mib"] = memory_mib(process.pid)
            process.wait(600)
        finally:
            if process.poll() is None:
                process.kill()
        result["load"] = site.result(process, check=False)
        after = site.counters()
        result["counters"] = {name: after[name] - before[name] for name in after
                              if after[name] != before[name]}
        started = time.monotonic()
        wait_until(lambda: open_clients(site) == 0, 120, "Weir to forget the connections")
        result["forgotten_seconds"] = time.monotonic() - started
    return result


def tell(result):
    load = result["load"]
    print(load["table"])
    print(f"{'phase':9} {'seconds':>8} {'req/s':>10} {'p50 us':>9} {'p99 us':>9} {'max us':>9}"
          f" {'busy':>6}")
    for name in ("baseline", "opening", "run"):
        print(phase_line(name, load["phases"][name]))
    grown = result["memory_held_mib"] - result["memory_before_mib"]
    count = result["open_clients"]
    print(f"\n{count} connections open at Weir ({result['connections']} idle asked for, "
          f"{load['idle']['lost']} lost), opened in {load['idle']['opening_seconds']:.1f} s")
    print(f"Weir: {result['memory_before_mib']:.0f} MiB before, {result['memory_held_mib']:.0f} MiB "
          f"with them: {grown * 1048576 / max(count, 1):.0f} bytes a connection")
    print(f"weir-load: {result['generator_mib']:.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=None)
    parser.add_argument("--rate", type=int, default=2000, help="requests a second on other connections")
    parser.add_argument("--seconds", type=float, default=20, help="the idle ones are held")
    parser.add_argument("--huge", action="store_true", help="hugepages, which are there already")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.connections = options.connections or affordable()
    try:
        result = measure(options)
    except SiteError as error:
        sys.exit(f"idle: {error}")
    tell(result)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    return 0 if result["load"]["ok"] and result["open_clients"] >= options.connections else 1


if __name__ == "__main__":
    sys.exit(main())
