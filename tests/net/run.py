#!/usr/bin/python3
"""Runs the cases of tests/net against a proxy in network namespaces. Needs root.

    run.py [--workers 1,2,4] [--site edge|cluster] [--proxy weir|nghttpx] [--lanes 1|2] [--list] [-v]
           [--figures FILE] [PATTERN ...]

A PATTERN selects cases whose "group.name" contains it. The last line counts what happened.
Environment: WEIR_BUILD (the build directory), WEIR_BACKENDS (h2, h1; tls, h1tls: over TLS),
WEIR_SANITIZED (more patience).
"""
import argparse
import importlib
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from case import CASES                                                     # noqa: E402
from cluster_site import ClusterSite                                       # noqa: E402
from edge_site import Site                                                 # noqa: E402
from lanes import Item, Lanes                                              # noqa: E402
import figures                                                             # noqa: E402

GROUPS = ("basic", "conformance", "bodies", "tls", "tls_abuse", "tls_resumed", "http1_clients", "http1",
          "http1_tls", "tls_backends",
          "aborts", "records", "metrics", "load", "abuse", "host", "coalesce", "failover", "store",
          "drain", "grpc", "grpc_js", "cookies", "tunnels", "events", "memory", "pause", "crowd",
          "mixed", "valves", "chaos", "cluster", "sentinel")
SITES = {"edge": Site, "cluster": ClusterSite}


def proxy_class(name):
    module = importlib.import_module(name)
    return getattr(module, name.capitalize())


def selected(options):
    """Those that share a site, one after the other."""
    return [Item(SITES[site], workers, case)
            for workers in options.workers for site in options.sites for case in CASES
            if workers in case.workers and case.site == site
            and (not options.patterns
                 or any(part in f"{case.group}.{case.name}" for part in options.patterns))]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,2,4",
                        type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--proxy", choices=("weir", "nghttpx"), default="weir")
    parser.add_argument("--site", choices=tuple(SITES), action="append", dest="sites",
                        help="only the cases of this site")
    parser.add_argument("--lanes", type=int, choices=(1, 2), default=1,
                        help="so many cases run at a time")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--unsteady", type=int, default=0,
                        help="so many cases may fail once if they pass when run again")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="print what cases have measured")
    parser.add_argument("--figures", help="a file for what cases have measured, as JSON")
    parser.add_argument("patterns", nargs="*")
    return parser.parse_args()


def main():
    options = arguments()
    options.sites = options.sites or list(SITES)
    for group in GROUPS:
        importlib.import_module(f"cases.{group}")
    if options.list:
        for case in CASES:
            print(f"{case.group}.{case.name}")
        return 0
    if os.geteuid() != 0:
        sys.exit("run.py makes network namespaces and needs root")
    # Ending in good order ends the lanes.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(143))
    passed = Lanes(proxy_class(options.proxy), selected(options), options.lanes,
                   options.unsteady).run()
    if options.verbose:
        figures.print_table()
    if options.figures:
        figures.write(options.figures)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
