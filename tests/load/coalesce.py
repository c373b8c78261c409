#!/usr/bin/python3
"""coalesce.py [--requests N] [--runs N]

What sharing saves and what it costs, on Weir's one worker, over memif, weir-load beside it:

    identical  N requests for one answer, all at once: requests at the origin, and how much later
               than the first the last of them has it
    joining    the latency of a request that joins another one's flight, beside that of one alone

and with root, in network namespaces: N requests while the region that has the one of them is killed.

Environment: WEIR_BUILD (the build directory).
"""
import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "net")]
import one_flight                                                          # noqa: E402
from memif_site import SiteError                                           # noqa: E402

BODY_BYTES = 1000
DELAY_MS = 20                   # of the origin: long enough that all who begin together meet
PATIENT_MS = 5000               # until all have asked, also on a busy machine
JOINERS = 20
WAVES = 200


def identical(requests):
    with one_flight.site() as running:
        result = one_flight.ask(running, requests, f"/load/?delay={PATIENT_MS}&n=", BODY_BYTES)
    latency = result["phases"]["run"]["latency_ns"]
    return {"requests": result["requests"], "upstream requests": result["origin"]["requests"],
            "last after first, ms": (latency["max"] - latency["min"]) / 1e6}


def joining():
    """JOINERS connections that ask again when they have been answered, all at about the same time."""
    path = f"/load/?delay={DELAY_MS}&n="
    with one_flight.site() as running:
        alone = one_flight.ask(running, WAVES, path, BODY_BYTES, connections=1, streams=1)
        shared = one_flight.ask(running, WAVES * JOINERS, path, BODY_BYTES, connections=JOINERS,
                                streams=1)
    one = alone["phases"]["run"]["latency_ns"]["p50"]
    many = shared["phases"]["run"]["latency_ns"]
    return {"alone, p50 us": one / 1e3, "sharing, p50 us": many["p50"] / 1e3,
            "added p50 us": (many["p50"] - one) / 1e3, "sharing, p99 us": many["p99"] / 1e3,
            "requests for an upstream one": shared["requests"] / shared["origin"]["requests"]}


def region_lost(requests):
    from crowd import Crowd, where
    from edge_site import Site
    from netlab import REGIONS
    from weir import Weir
    target = f"/shared/slow?ms={3000 + requests}&key=lost"
    with Site(Weir, 1) as running:
        crowd = Crowd(running, target, members=requests)
        crowd.wait_subscribed()
        first = where(running, target)
        region = next(names for names in REGIONS.values() if first in names)
        for name in region:
            running.backends[name].kill()
        report = crowd.report()
        return {"requests": report["members"], "answered whole": report["complete"],
                "upstream requests": 1 + running.counted(target)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def main():
    options = arguments()
    figures = {"identical": lambda: identical(options.requests), "joining": joining}
    if os.geteuid() == 0:
        figures["region lost"] = lambda: region_lost(options.requests)
    for name, measure in figures.items():
        print(name)
        try:
            one_flight.print_median([measure() for _ in range(options.runs)])
        except SiteError as error:
            sys.exit(f"coalesce: {name}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
