#!/usr/bin/python3
"""The benchmarks: what scripts/bench calls when everything is built. See docs/benchmarks.md."""
import argparse
import importlib
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hugepages                                                           # noqa: E402
import results                                                             # noqa: E402

# name -> (module, function of the options that gives a Result)
BENCHES = {
    "small": ("memif_bench", "small"),
    "bulk": ("memif_bench", "bulk"),
    "conn": ("memif_bench", "conn"),
    "latency": ("memif_bench", "latency"),
    "flood": ("memif_bench", "flood"),
    "idle": ("idle", "idle"),
    "coalesce": ("coalesce", "coalesce"),
    "fanout": ("fanout", "fanout"),
    "micro": ("micro", "micro"),
    "two": ("micro", "two"),
    "failover": ("failover", "failover"),
    "peers": ("peers", "peers"),
    "tls": ("tls_bench", "tls"),
}

RUNS = {"peers": 1, "tls": 1}             # so that none takes much more than two minutes


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("bench", nargs="+", choices=[*BENCHES, "all", "page"])
    parser.add_argument("--runs", type=int, help="the median counts; 3, peers and tls: 1")
    parser.add_argument("--seconds", type=float, default=3, help="of each run")
    parser.add_argument("--proxy", action="append", default=[], help="peers, tls: only these")
    parser.add_argument("--case", action="append", default=[],
                        help="failover: these cases of tests/net instead (cluster. is all)")
    parser.add_argument("--connections", type=int, help="idle: how many; else up to a million")
    parser.add_argument("--requests", type=int, default=10000, help="coalesce: that are the same")
    parser.add_argument("--subscribers", type=int, default=10000, help="fanout")
    parser.add_argument("--events", type=int, default=100, help="fanout")
    parser.add_argument("--pace", type=int, default=15, help="fanout: events a second")
    parser.add_argument("--keys", type=int, help="micro: live keys of the table")
    parser.add_argument("--store", action="store_true",
                        help="keep the results: what later ones are compared with, and the page's tables")
    parser.add_argument("--results", default=os.path.join(
        os.environ.get("WEIR_BUILD", "build-bench"), "results"), help="where the JSON goes")
    return parser.parse_args()


def measure(name, asked):
    module, function = BENCHES[name]
    options = argparse.Namespace(**vars(asked))
    options.runs = asked.runs or RUNS.get(name, 3)
    made = getattr(importlib.import_module(module), function)(options)
    for result in made if isinstance(made, list) else [made]:
        result.print()
        print(f"   {result.write(options.results)}", flush=True)
        if options.store:
            result.write(results.STORED)


def measure_all(names, options):
    """The names of those that could not be measured."""
    failed = []
    for name in names:
        try:
            if name != "page":
                measure(name, options)
        except Exception:  # whatever goes wrong with one, the others are measured
            traceback.print_exc()
            failed.append(name)
    return failed


def main():
    options = arguments()
    if os.cpu_count() < 2:
        sys.exit("needs two cores: one for the proxy, one for everything else")
    names = list(BENCHES) if "all" in options.bench else options.bench
    with hugepages.reserved():
        failed = measure_all(names, options)
    if options.store or "page" in names:
        results.write_page()
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
