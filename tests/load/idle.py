"""Many idle connections on one worker over memif, and what becomes of requests on others: their rate
and latency before, while the idle ones are opened, and while they are held, and the memory all this
took. A million, or fewer if memory is short (8 KiB each, both sides together, and 2 GiB).
"""
import time

from memif_site import MemifSite, SiteError, memory_mib, wait_until
from results import Result

KIB_EACH = 8
SPARE_MIB = 2048
RATE = 2000                     # requests a second on other connections
HOLD_S = 15


def affordable():
    with open("/proc/meminfo", encoding="ascii") as file:
        values = {line.split(":")[0]: int(line.split()[1]) for line in file}
    kib = values["MemAvailable"] - SPARE_MIB * 1024
    return max(10000, min(1000000, kib // KIB_EACH))


def limits(connections):
    return {"client_connections": connections + 2048, "streams": 65536, "exchanges": 4096,
            "flights": 4096, "time_wait": 16384, "payload_bytes": "64MiB"}


def open_clients(site):
    return sum(worker["open_clients"] for worker in site.gauges())


def hold(site, count, process):
    """While they are held: {"open_clients", "memory_mib"}."""
    wait_until(lambda: open_clients(site) >= count or process.poll() is not None, 300,
               f"{count} connections")
    time.sleep(5)
    return {"open_clients": open_clients(site), "memory_mib": site.memory_mib(),
            "generator_mib": memory_mib(process.pid)}


def measure(count):
    with MemifSite(limits=limits(count), idle="adaptive", mbufs=16384) as site:
        before_mib = site.memory_mib()
        process = site.spawn("--connections", 64, "--streams", 1, "--rate", RATE, "--idle", count,
                             "--baseline", 5, "--duration", HOLD_S, "--hold", HOLD_S, "--mbufs",
                             16384, "--quiet")
        try:
            held = hold(site, count, process)
            process.wait(600)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        load = site.result(process, check=False)
        wait_until(lambda: open_clients(site) == 0, 120, "Weir to forget the connections")
    if not load["ok"] or held["open_clients"] < count:
        raise SiteError(f"{held['open_clients']} of {count} were open:\n{load['table']}")
    return load, held, before_mib


def phase_figures(phase):
    latency = phase["latency_ns"]
    return {"seconds": phase["seconds"], "requests/s": phase["requests_per_second"],
            **{f"{name} us": latency[name] / 1e3 for name in ("p50", "p99")},
            "max us": latency["max"] / 1e3}


def idle(options):
    count = options.connections or affordable()
    result = Result("idle", f"{count:,} idle connections on one worker beside {RATE:,} requests a "
                            "second, over memif")
    load, held, before_mib = measure(count)
    grown = held["memory_mib"] - before_mib
    for name, case in (("baseline", "before"), ("opening", "while they open"), ("run", "held")):
        result.add(case, phase_figures(load["phases"][name]))
    result.rows[-1]["figures"]["Weir MiB"] = held["memory_mib"]
    result.rows[-1]["figures"]["bytes each"] = grown * 1048576 / held["open_clients"]
    result.rows[0]["figures"]["Weir MiB"] = before_mib
    result.note(f"{held['open_clients']:,} open at Weir, none lost; the generator took "
                f"{held['generator_mib']:,.0f} MiB. Pools are laid out at start, and touched when "
                "they are used: bytes each is what that added.")
    return result
