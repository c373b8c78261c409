"""What sharing saves and what it costs, on Weir's one worker, over memif, weir-load beside it:

    identical  N requests for one answer, all at once: requests at the origin, and how much later
               than the first the last of them has it
    joining    the latency of a request that joins another one's flight, beside that of one alone
    join cost  busy time of a request that nearly always joins: many ask again and again

and with root, in network namespaces: N requests while the region that has the one of them is killed.
"""
import os
import sys

import one_flight
from memif_bench import Reading
from results import Result, median_of

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(os.path.dirname(HERE), "net"))

BODY_BYTES = 1000
DELAY_MS = 20                   # of the origin: long enough that all who begin together meet
PATIENT_MS = 5000               # until all have asked, also on a busy machine
JOINERS = 20
WAVES = 200
CROWD, CROWD_STREAMS, CROWD_BYTES, CROWD_WAVES = 32, 32, 64, 500


def identical(requests):
    with one_flight.site(spin=False) as running:
        result = one_flight.ask(running, requests, f"/load/?delay={PATIENT_MS}&n=", BODY_BYTES)
    return {"requests": result["requests"], "upstream requests": result["origin"]["requests"],
            "last after first ms": result["phases"]["run"]["last_after_first_ns"] / 1e6}


def joining():
    """JOINERS connections that ask again when they have been answered, all at about the same time."""
    path = f"/load/?delay={DELAY_MS}&n="
    with one_flight.site() as running:
        alone = one_flight.ask(running, WAVES, path, BODY_BYTES, connections=1, streams=1)
        shared = one_flight.ask(running, WAVES * JOINERS, path, BODY_BYTES, connections=JOINERS,
                                streams=1)
    one = alone["phases"]["run"]["latency_ns"]["p50"]
    many = shared["phases"]["run"]["latency_ns"]
    return {"requests": shared["requests"], "upstream requests": shared["origin"]["requests"],
            "alone p50 us": one / 1e3, "sharing p50 us": many["p50"] / 1e3,
            "added p50 us": (many["p50"] - one) / 1e3, "sharing p99 us": many["p99"] / 1e3}


def join_cost():
    members = CROWD * CROWD_STREAMS
    with one_flight.site() as running:
        before = Reading(running)
        result = one_flight.ask(running, members * CROWD_WAVES, "/load/?delay=1&n=", CROWD_BYTES,
                                connections=CROWD, streams=CROWD_STREAMS)
        spent = Reading(running).since(before)
    return {"requests": result["requests"], "upstream requests": result["origin"]["requests"],
            "busy ns": spent["busy_ns"] / result["requests"]}


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
        return {"requests": report["members"], "upstream requests": 1 + running.counted(target),
                "answered whole": report["complete"]}


def coalesce(options):
    result = Result("coalesce", "Requests that are the same, over memif; a region lost: kernel clients")
    cases = {"identical, all at once": lambda: identical(options.requests),
             f"joining, {JOINERS} of them": joining,
             f"join cost, {CROWD} x {CROWD_STREAMS}": join_cost}
    if os.geteuid() == 0:
        cases["region lost"] = lambda: region_lost(options.requests)
    else:
        result.note("The case of a lost region needs root.")
    for name, case in cases.items():
        runs = 1 if name == "region lost" else options.runs     # it counts, and takes its time
        result.add(name, median_of([case() for _ in range(runs)]))
    return result
