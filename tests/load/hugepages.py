"""Huge pages of 2 MiB for a run: Weir and weir-load lie on them where there are enough.

A host gives Weir huge pages (docs/operations.md); a laptop that runs a benchmark has none reserved. So
they are reserved for the time of a run, at most a quarter of what memory is available, and given back.
"""
import contextlib

ENOUGH_MIB = 4096               # for Weir and weir-load together, of any benchmark but idle
FOLDER = "/sys/kernel/mm/hugepages/hugepages-2048kB"
PAGE_MIB = 2


def _read(name):
    with open(f"{FOLDER}/{name}", encoding="ascii") as file:
        return int(file.read())


def _write(count):
    with open(f"{FOLDER}/nr_hugepages", "w", encoding="ascii") as file:
        file.write(str(count))


def _available_mib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("MemAvailable"))


def _free_mib():
    return _read("free_hugepages") * PAGE_MIB


def are_there():
    """Enough for what is about to be started."""
    try:
        return _free_mib() >= ENOUGH_MIB
    except OSError:
        return False


@contextlib.contextmanager
def reserved():
    """Enough of them free, if the machine has room: are_there(). Those that were not there go again."""
    try:
        before = _read("nr_hugepages")
        lacking = min(ENOUGH_MIB - _free_mib(), _available_mib() // 4)
        if lacking > 0:
            _write(before + lacking // PAGE_MIB)
    except OSError:
        before = None
    try:
        yield
    finally:
        if before is not None:
            _write(before)
