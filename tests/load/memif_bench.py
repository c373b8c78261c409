"""Weir's one worker under weir-load, over memif, no kernel between: small, bulk, conn, flood, latency.

Weir spins on core 1, weir-load (client and origin) on core 0. What a request costs is the worker's
busy time: turns that found something, empty polls do not count. Both are told by the worker in cycles
of the time stamp counter; their ratio is applied to what CPU time the thread was given, so that a
thread put aside for others' sake is not charged for it.
"""
import statistics
import time

import direct
import hugepages
from memif_site import MemifSite
from results import HEADROOM, Result, median_of

LIMITS = {"client_connections": 16384, "exchanges": 8192, "flights": 8192, "time_wait": 65536,
          "payload_bytes": "64MiB"}
PACE = 0.75                     # of what is possible, where the generator is to have headroom
SMALL = ("--connections", 8, "--streams", 32, "--body-bytes", 64)
BULK = ("--connections", 8, "--streams", 4, "--body-bytes", 1 << 20)
NEW = ("--connections", 256, "--new-connection", "--body-bytes", 64)
CORE_SHARE_LEAST = 0.9          # of the worker's core, before figures are called rough
FLOOD_RATES = (200_000, 1_000_000)  # SYNs a second
INNOCENT = ("--connections", 1000, "--rate", 2000)


class Reading:
    """What Weir's threads and counters say, before and after."""

    def __init__(self, site):
        self.counters, self.threads = site.counters(), site.thread_ns()
        self.at_ns = time.monotonic_ns()

    def since(self, before):
        grown = {name: self.counters[name] - before.counters[name] for name in before.counters}
        spent = {name: self.threads[name] - before.threads.get(name, 0) for name in self.threads}
        worker = sum(ns for name, ns in spent.items() if "worker" in name)
        busy = grown["worker.busy_cycles"]
        all_cycles = busy + grown["worker.idle_cycles"]
        return {"busy_ns": worker * busy / max(all_cycles, 1), "worker_ns": worker,
                "other_ns": sum(spent.values()) - worker, "counters": grown,
                "core_share": worker / max(self.at_ns - before.at_ns, 1)}


def new_site(**more):
    return MemifSite(limits=LIMITS, idle="poll", mbufs=16384, cpu=1, huge=hugepages.are_there(),
                     **more)


def run(site, *options, check=True):
    """(weir-load's result, what Weir spent)."""
    before = Reading(site)
    result = site.load(*options, "--cpu", 0, "--poll", "--quiet", families=("v4",), check=check)
    return result, Reading(site).since(before)


def cost_figures(result, spent):
    """Per request that was answered."""
    done = max(result["requests"], 1)
    busy_ns = spent["busy_ns"] / done
    return {"requests/s": rate_of(result),
            "busy ns": busy_ns,
            "cycles": busy_ns * result["cycles_per_second"] / 1e9,
            "worker busy %": rate_of(result) * busy_ns / 1e7,
            "other threads ns": spent["other_ns"] / done,
            "errors": sum(result["errors"].values())}


def latency_figures(latency):
    return {f"{name.replace('_', '.')} us": latency[name] / 1e3
            for name in ("p50", "p90", "p99", "p99_9", "p99_99")}


def rate_of(result):
    return result["phases"]["run"]["requests_per_second"]


def note_doubts(result, runs):
    """RUNS: (weir-load's result, what Weir spent). What was due and never begun has no latency; a
    worker that spins and had less than its core was put aside for others."""
    overdue = sum(one["phases"]["run"]["overdue"] for one, _ in runs)
    least = min(spent["core_share"] for _, spent in runs)
    if overdue > 0:
        result.note(f"{overdue:,} requests were due and never begun: they are in no figure.")
    if least < CORE_SHARE_LEAST:
        result.note(f"The worker had {100 * least:.0f} % of its core at times: other programs ran, and "
                    "rates and latencies are rough.")


def two_paces(result, name, shape, options, capacity):
    """Rows of SHAPE: as fast as it goes, and with a generator that has headroom."""
    closed, paced = [], []
    with new_site() as site:
        for _ in range(options.runs):
            closed.append(run(site, *shape, "--duration", options.seconds))
        fastest = statistics.median(rate_of(one) for one, _ in closed)
        pace = max(1, int(PACE * min(fastest, capacity)))
        for _ in range(options.runs):
            paced.append(run(site, *shape, "--duration", options.seconds, "--rate", pace))
    for kind, runs in (("as fast as it goes", closed), (f"{100 * PACE:.0f} % of it", paced)):
        figures = median_of([cost_figures(*one) for one in runs])
        result.add(f"{name}, {kind}", figures, figures["requests/s"] / capacity)
    note_doubts(result, closed + paced)
    result.note(f"{name}: the generator alone does {capacity:,.0f} a second.")


def small(options):
    result = Result("small", "64-byte answers, 8 connections x 32 streams, over memif")
    two_paces(result, "64 B, 8 x 32", SMALL, options,
              direct.capacity(*SMALL, "--duration", options.seconds))
    return result


def bulk(options):
    result = Result("bulk", "1 MiB answers, 8 connections x 4 streams, MTU 1500, over memif")
    capacity = direct.capacity(*BULK, "--duration", options.seconds)
    rows = []
    with new_site() as site:
        for _ in range(options.runs):
            rows.append(run(site, *BULK, "--duration", options.seconds))
    figures = median_of([bulk_figures(*row) for row in rows])
    result.add("1 MiB, 8 x 4, as fast as it goes", figures,
               statistics.median(rate_of(one) for one, _ in rows) / capacity)
    result.note(f"The generator alone does {capacity * 8 * (1 << 20) / 1e9:,.1f} Gbit/s.")
    note_doubts(result, rows)
    return result


def bulk_figures(result, spent):
    """The rate is of bodies that ended in the run; the cost is of all."""
    during = result["phases"]["run"]
    bits = 8 * sum(phase["bytes"] for phase in result["phases"].values())
    rate = 8 * during["bytes"] / during["seconds"] / 1e9
    a_core = bits / max(spent["busy_ns"], 1)
    return {"Gbit/s": rate, "Gbit/s a busy core": a_core,
            "busy ns a KiB": spent["busy_ns"] / max(bits / 8192, 1),
            "worker busy %": 100 * rate / max(a_core, 1e-9),
            "errors": sum(result["errors"].values())}


def conn(options):
    result = Result("conn", "A new connection for every 64-byte answer, over memif")
    two_paces(result, "new connection", NEW, options, direct.capacity(
        *NEW, "--duration", options.seconds,
        origin_options=(*SMALL, "--duration", options.seconds)))
    return result


def flood(options):
    """Requests of innocent clients without and with a flood beside them; what the flood adds is its
    cost."""
    result = Result("flood", f"SYNs beside {INNOCENT[3]:,} requests on {INNOCENT[1]:,} connections, "
                             "over memif")
    quiet, loud = [], {rate: [] for rate in FLOOD_RATES}
    with new_site() as site:
        for _ in range(options.runs):
            quiet.append(run(site, *INNOCENT, "--duration", options.seconds))
            for rate, runs in loud.items():
                syns = ("--syn-flood", int(rate * options.seconds), "--syn-rate", rate,
                        "--syn-sources", "198.18.0.0/15")
                runs.append(run(site, *INNOCENT, "--duration", options.seconds, *syns, check=False))
    result.add("no flood", median_of([flood_figures(one, spent, 0) for one, spent in quiet]))
    basis = median_of([spent_each(one, spent) for one, spent in quiet])["busy"]
    for rate, runs in loud.items():
        result.add(f"{rate:,} asked for",
                   median_of([flood_figures(one, spent, basis) for one, spent in runs]))
        quiet += runs
    note_doubts(result, quiet)
    return result


def spent_each(result, spent):
    return {"busy": spent["busy_ns"] / max(result["requests"], 1)}


def flood_figures(result, spent, basis):
    """BASIS: busy time of one request without a flood. A SYN that the ring had no room for cost
    nothing: what counts is those that were answered."""
    sent, lasted = result["syn_flood"]["sent"], result["syn_flood"]["seconds"]
    answered = spent["counters"]["tcp.cookies_sent"]
    extra = max(0.0, spent["busy_ns"] - basis * result["requests"])
    return {"SYNs/s": sent / lasted if sent else 0.0,
            "answered %": 100 * answered / sent if sent else 0.0,
            "busy ns a SYN": extra / answered if sent and answered else 0.0,
            "requests/s": rate_of(result), "lost connections": result["connections"]["lost"],
            "errors": sum(result["errors"].values()),
            **latency_figures(result["phases"]["run"]["latency_ns"])}


def latency(options):
    """At half of what Weir does (or the generator can): latency from when a request was due, with Weir
    and with a wire in its place; and of a lone request."""
    result = Result("latency", "What Weir adds: 64-byte answers over memif, in us from when they were due")
    capacity = direct.capacity(*SMALL, "--duration", options.seconds)
    rows = {}
    with new_site() as site:
        fastest, _ = run(site, *SMALL, "--duration", options.seconds)
        half = max(1, int(0.5 * min(rate_of(fastest), HEADROOM * capacity)))
        for name, shape in (("half load", (*SMALL, "--rate", half)),
                            ("one alone", ("--body-bytes", 64))):
            rows[name] = shape, [run(site, *shape, "--duration", options.seconds)
                                 for _ in range(options.runs)]
    for name, (shape, runs) in rows.items():
        through = median_of([latency_figures(one["phases"]["run"]["latency_ns"]) for one, _ in runs])
        without = median_of([latency_figures(direct.latency(*shape, "--duration", options.seconds))
                             for _ in range(options.runs)])
        result.add(f"{name}, through Weir", through)
        result.add(f"{name}, through a wire", without)
        result.add(f"{name}, added", {key: through[key] - without[key] for key in through})
        note_doubts(result, runs)
    result.note(f"Half load: {half:,} requests a second. One alone: the next when it is answered.")
    result.note("Wire: a process on Weir's core hands packets from one memif to the other, and no more.")
    result.note("Added: the difference of the two percentiles; no single request was seen to take it.")
    return result
