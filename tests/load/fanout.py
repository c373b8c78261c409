#!/usr/bin/python3
"""fanout.py [--subscribers N] [--events N] [--pace N] [--runs N]

One stream of 1 KiB events for many subscribers, on Weir's one worker, over memif: weir-load is client
and origin on another core. What an event for a subscriber costs of the worker's CPU time, and what a
core's worth of them would be. The pace is below what the cores can do, so that events stay apart.

Environment: WEIR_BUILD (the build directory).
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import one_flight                                                          # noqa: E402
from memif_site import SiteError                                           # noqa: E402

EVENT_BYTES = 1024


def measure(options):
    path = f"/load/?delay=1000&pace={options.pace}&n="
    with one_flight.site() as running:
        before, cpu_ns = running.counters(), running.worker_ns()
        result = one_flight.ask(running, options.subscribers, path, options.events * EVENT_BYTES)
        after, cpu_ns = running.counters(), running.worker_ns() - cpu_ns
    delivered = options.subscribers * options.events
    grown = {name: after[name] - before[name] for name in after}
    seconds = result["phases"]["run"]["seconds"] + result["phases"]["finish"]["seconds"]
    return {"upstream requests": result["origin"]["requests"],
            "events delivered": delivered, "events/s while it ran": delivered / seconds,
            "worker ns an event": cpu_ns / delivered,
            "cycles an event": cpu_ns / delivered * result["cycles_per_second"] / 1e9,
            "a core's worth, events/s": 1e9 * delivered / cpu_ns,
            "frames an event": grown["h2.frames_out"] / delivered,
            "packets out an event": grown["net.out_packets"] / delivered,
            "weir-load busy %": 100 * result["phases"]["run"]["busy"]}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=10000)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--pace", type=int, default=15, help="events a second")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def main():
    options = arguments()
    try:
        one_flight.print_median([measure(options) for _ in range(options.runs)])
    except SiteError as error:
        sys.exit(f"fanout: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
