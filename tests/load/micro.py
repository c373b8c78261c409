"""Parts by themselves, without a network: the programs bench_* of the build, their lines as rows."""
import os
import re
import subprocess

from memif_site import BUILD, SiteError
from results import Result

# The parts with what their programs take: bench_tcp simulates its wire, and takes its time.
PARTS = {"hpack": (), "relay": (), "tcp": (2000,), "net": (), "cookie": (), "parts": (),
         "request": (), "tls": ()}
CYCLES = re.compile(r"^(?P<name>.*?):?\s+(?P<median>[\d.]+) cycles.*\(best\D*(?P<best>[\d.]+)\)")
TABLE = re.compile(r"^(?P<name>\S.*?)\s{2,}(?P<threads>\d+)\s+(?P<figures>[\d.]+(\s+[\d.]+)+)$")
OPERATIONS = ("lead", "join", "leave")
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# A worker's pools are touched for the first time all through its rounds: a page fault is no cost of it.
ON_HUGE_PAGES = ("request",)


def output(program, *arguments, **environment):
    path = os.path.join(BUILD, "tests", "load", program)
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment}, timeout=300)
    if done.returncode != 0:
        raise SiteError(f"{program} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def cycle_rows(text):
    """[(name, {"cycles", "best"})]; a line "-- heading" belongs to the names below it."""
    rows, heading = [], ""
    for line in text.splitlines():
        if line.startswith("-- "):
            heading = line[3:].strip() + ": "
            continue
        found = CYCLES.match(line)
        if found:
            rows.append((heading + " ".join(found["name"].split()),
                         {"cycles": float(found["median"]), "best": float(found["best"])}))
    return rows


def table_rows(text):
    """[(name, {operation: ns})] of bench_table's lines."""
    rows = []
    for line in text.splitlines():
        found = TABLE.match(line)
        if found:
            values = [float(value) for value in found["figures"].split()]
            threads = "1 thread" if found["threads"] == "1" else f"{found['threads']} threads"
            rows.append((f"{found['name']}, {threads}",
                         {f"{name} ns": value for name, value in zip(OPERATIONS, values)}
                         | {"failed": values[len(OPERATIONS)]}))
    return rows


def filled(result, rows, source):
    if not rows:
        raise SiteError(f"{source} said nothing that looks like a figure")
    for name, figures in rows:
        result.add(name, figures)
    return result


def cycles(options):
    result = Result("cycles", "Parts of the data plane, cycles each (median, and the best)")
    for part, arguments in PARTS.items():
        text = output(f"bench_{part}", *arguments, **(HUGE_PAGES if part in ON_HUGE_PAGES else {}))
        rows = [(f"{part}: {name}", figures) for name, figures in cycle_rows(text)]
        filled(result, rows, f"bench_{part}")
    return result


def table(options):
    result = Result("table", "The table of coalescing beside rte_hash and liburcu's, ns each")
    text = output("bench_table", *([options.keys] if options.keys else []), **HUGE_PAGES)
    return filled(result, table_rows(text), "bench_table")


def two_rows(text):
    """[(kind of requests, {mode: cycles, and their ratios})] of bench_two's lines."""
    loads = {}
    for name, figures in cycle_rows(text):
        load, mode = name.split(": ")
        loads.setdefault(load, {})[mode] = figures["cycles"]
    return [(load, cycles | {"two planes / one alone": cycles["two planes"] / cycles["one alone"],
                             "one plane / two planes": cycles["one plane"] / cycles["two planes"]})
            for load, cycles in loads.items()]


def two(options):
    result = Result("two", "Two workers at work at the same time, cycles a request")
    return filled(result, two_rows(output("bench_two", **HUGE_PAGES)), "bench_two")


def micro(options):
    return [cycles(options), table(options)]
