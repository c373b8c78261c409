"""Who had how much of the machine's processors, between two moments.

    before = Account.now([proxy.pid], [client.pid, origin.pid])
    ...
    spent = Account.now([proxy.pid], [client.pid, origin.pid]) - before

CPU time is what the scheduler gave (/proc/PID/task/*/schedstat, nanoseconds), so that other programs
on the machine do not count; of children that have ended and were waited for, what they used. It holds the softirqs that ran on top of a thread; those that ksoftirqd
ran are in `softirq_ns`. What an interrupt put on top of a stranger is in `machine_ns` only.
"""
import dataclasses
import os
import resource


def thread_ns(pid):
    """{name of a thread: CPU time}; threads of one name are summed."""
    out = {}
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return out
    for task in tasks:
        base = f"/proc/{pid}/task/{task}"
        try:
            with open(f"{base}/comm", encoding="utf-8") as file:
                name = file.read().strip()
            with open(f"{base}/schedstat", encoding="ascii") as file:
                out[name] = out.get(name, 0) + int(file.read().split()[0])
        except OSError:
            continue
    return out


def parents():
    """{pid: its parent's}"""
    out = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                out[int(entry)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    return out


def with_children(roots):
    """The processes and all that descend from them."""
    known, family = parents(), set(roots)
    grown = True
    while grown:
        more = {pid for pid, parent in known.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return family


def family_ns(roots):
    return sum(sum(thread_ns(pid).values()) for pid in with_children(roots))


def ended_ns():
    """Of our children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


def softirq_ns():
    """Of ksoftirqd, all cores."""
    total = 0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/comm", encoding="utf-8") as file:
                if file.read().startswith("ksoftirqd/"):
                    total += sum(thread_ns(entry).values())
        except OSError:
            continue
    return total


def machine_ns():
    """All that was not idle (nor another guest's), in steps of a clock tick."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) * 10**9 // os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Account:
    proxy_ns: int
    others_ns: int       # clients and origins
    softirq_ns: int
    machine_ns: int

    @classmethod
    def now(cls, proxy, others):
        return cls(family_ns(proxy), family_ns(others) + ended_ns(), softirq_ns(), machine_ns())

    def __sub__(self, before):
        return Account(*(getattr(self, field.name) - getattr(before, field.name)
                         for field in dataclasses.fields(self)))

    @property
    def rig_ns(self):
        """All that the measurement cost, whoever did it."""
        return self.proxy_ns + self.others_ns + self.softirq_ns

    @property
    def strangers(self):
        """The share of what the machine did that was not ours: above 0.1 figures are rough."""
        return max(0.0, 1 - self.rig_ns / self.machine_ns) if self.machine_ns > 0 else 0.0
