#!/usr/bin/python3
"""memif.py [--runs N] [--seconds S] [--json FILE] [requests|new|flood ...]

Weir's one worker under weir-load on another core, over memif, without a kernel between:

    requests  small answers over 100 connections with 10 streams each
    new       connections with one request each
    flood     SYNs from random sources beside requests on 1,000 connections

Rates a second, what each costs of the worker's CPU time, the median of the runs. Other load on the
machine lowers the rates; the CPU time it hardly touches. Environment: WEIR_BUILD (the build directory).
"""
import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memif_site import MemifSite, SiteError                                 # noqa: E402

LIMITS = {"client_connections": 16384, "exchanges": 8192, "flights": 8192, "time_wait": 16384,
          "payload_bytes": "64MiB"}
FLOOD_RATE = 200000


def requests(site, seconds):
    return site.load("--connections", 100, "--streams", 10, "--duration", seconds, "--cpu", 0)


def new(site, seconds):
    return site.load("--connections", 200, "--new-connection", "--duration", seconds, "--cpu", 0)


def flood(site, seconds):
    return site.load("--connections", 1000, "--rate", 2000, "--duration", seconds, "--syn-flood",
                     int(FLOOD_RATE * seconds), "--syn-rate", FLOOD_RATE, "--syn-sources",
                     "198.18.0.0/15", "--syn-sources", "2001:2::/48", "--cpu", 0, check=False)


def figures(case, result, cpu_ns):
    """What one run says: {"name": number}."""
    run = result["phases"]["run"]
    out = {"requests/s": run["requests_per_second"], "errors": sum(result["errors"].values()),
           "p50 us": run["latency_ns"]["p50"] / 1e3, "p99 us": run["latency_ns"]["p99"] / 1e3,
           "worker CPU %": cpu_ns / run["seconds"] / 1e7, "weir-load busy %": 100 * run["busy"]}
    done = max(result["requests"], 1)
    if case == "flood":
        sent, seconds = result["syn_flood"]["sent"], result["syn_flood"]["seconds"]
        out["SYNs/s"] = sent / max(seconds, 1e-9)
        out["ns/SYN at most"] = cpu_ns / max(sent, 1)
        out["connections lost"] = result["connections"]["lost"]
    else:
        out["ns each"] = cpu_ns / done
        out["cycles each"] = cpu_ns / done * result["cycles_per_second"] / 1e9
        out["a core's worth/s"] = 1e9 * done / cpu_ns
    return out


def measure(case, options):
    runs = []
    for _ in range(options.runs):
        with MemifSite(limits=LIMITS, idle="adaptive", mbufs=16384, cpu=1) as site:
            before = site.worker_ns()
            result = CASES[case](site, options.seconds)
            runs.append(figures(case, result, site.worker_ns() - before))
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


CASES = {"requests": requests, "new": new, "flood": flood}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json")
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    options = parser.parse_args()
    results = {}
    for case in options.cases or CASES:
        try:
            results[case] = measure(case, options)
        except SiteError as error:
            sys.exit(f"memif: {case}: {error}")
        print(case)
        for name, value in results[case].items():
            print(f"  {name:20} {value:14,.1f}", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
