"""One stream of 1 KiB events for many subscribers, on Weir's one worker, over memif: weir-load is client
and origin on another core. What an event for a subscriber costs of the worker's busy time, and what a
core's worth of them would be. The pace is below what the cores can do, so that events stay apart.
"""
import one_flight
from memif_bench import Reading
from results import Result, median_of

EVENT_BYTES = 1024


def measure(options):
    path = f"/load/?delay=1000&pace={options.pace}&n="
    with one_flight.site() as running:
        before = Reading(running)
        result = one_flight.ask(running, options.subscribers, path, options.events * EVENT_BYTES)
        spent = Reading(running).since(before)
    delivered = options.subscribers * options.events
    seconds = result["phases"]["run"]["seconds"] + result["phases"]["finish"]["seconds"]
    return {"upstream requests": result["origin"]["requests"],
            "events/s": delivered / seconds,
            "busy ns an event": spent["busy_ns"] / delivered,
            "cycles an event": spent["busy_ns"] / delivered * result["cycles_per_second"] / 1e9,
            "million events/s a core": 1e3 * delivered / spent["busy_ns"],
            "frames an event": spent["counters"]["h2.frames_out"] / delivered,
            "packets an event": spent["counters"]["net.out_packets"] / delivered}


def fanout(options):
    result = Result("fanout", f"{options.events} events of 1 KiB, {options.pace} a second, for "
                              f"{options.subscribers:,} subscribers of one flight, over memif")
    result.add("all", median_of([measure(options) for _ in range(options.runs)]))
    return result
