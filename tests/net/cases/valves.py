"""What the data path does at once and by itself: nobody waits for a path that has fallen silent."""
import time

from case import all_ok, case, equal, expect
from edge_site import URL4, wait_until
from growth import Growth
from netlab import REGIONS

NEEDS = ("failover",)
THINKS_MS = 300                        # a backend's time for an answer: flights are open and wait
STALL_MS = 1000                        # half of it is aimed at; the other half is a crowded machine


def cut(site, region, state="down"):
    for name in REGIONS[region]:
        site.lab.link(name, state)


class Load:
    """Requests of THINKS_MS each from CLIENTS connections, and how long they took."""

    def __init__(self, site, requests, clients, rate):
        self.requests, self.path = requests, site.lab.path("requests.tsv")
        self.process = site.h2load_in_background(
            "load", "-n", str(requests), "-c", str(clients), "-m", "20", f"--rps={rate}",
            f"--log-file={self.path}", f"{URL4}/slow?ms={THINKS_MS}")

    def finish(self):
        wait_until(lambda: not self.process.alive(), 90, "h2load to end")
        text = self.process.log()
        expect(f" {self.requests} succeeded, 0 failed, 0 errored, 0 timeout" in text
               and f"status codes: {self.requests} 2xx" in text, text)

    def stall_ms(self):
        """Of the slowest: without what two backends took, one for nothing, as for most requests."""
        with open(self.path, encoding="ascii") as lines:
            took = sorted(int(line.split()[2]) / 1000 for line in lines)
        return took[-1] - 2 * took[len(took) // 2]


def soon(site, stall_ms, what):
    expect(stall_ms < STALL_MS * site.slowness(), f"{what} stalled for {stall_ms:.0f} ms")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def flights_under_load_leave_a_silent_region(site):
    load = Load(site, 2000, 10, 40)
    wait_until(lambda: site.counted() > 400, 30, "load to arrive")
    cut(site, "eu")
    load.finish()
    cut(site, "eu", "up")
    expect(site.counted(names=REGIONS["us"]) > 400, "us took over")
    soon(site, load.stall_ms(), "a request")


@case(needs=NEEDS, fresh=True, timeout_s=120)
def a_lonely_flight_leaves_a_silent_region(site):
    """Its request is acknowledged, nothing is sent: only our own asking finds it out."""
    growth = Growth(site)
    client = site.client_in_background(URL4 + "/slow?ms=2000", "client")
    wait_until(lambda: site.counted() == 1, 30, "the request to arrive")
    cut(site, "eu")
    began = time.monotonic()
    wait_until(lambda: site.counted(names=REGIONS["us"]) == 1, 30, "it to arrive in us")
    stall_ms = (time.monotonic() - began) * 1000
    all_ok(site.report_of(client), 1)
    cut(site, "eu", "up")
    soon(site, stall_ms, "the request")
    equal(growth.all().get("coalesce.retries_silent"), 1, "retries of silence" + growth.reasons())


@case(needs=NEEDS, fresh=True, timeout_s=120)
def who_comes_later_does_not_meet_the_silence_again(site):
    """One after another, before probes have found out: at most the first waits for a connect."""
    growth = Growth(site)
    cut(site, "eu")
    report = site.client(URL4 + "/", count=30, concurrency=1)
    cut(site, "eu", "up")
    all_ok(report, 30)
    moved = growth.all().get("coalesce.connects_moved", 0)
    repeated = growth.all().get("coalesce.retries_silent", 0)
    expect(moved + repeated <= 2, f"{moved} connects and {repeated} requests met the silence")
