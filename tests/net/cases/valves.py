"""What the data path does at once and by itself: nobody waits for a path that has fallen silent."""
import copy
import time

from case import all_ok, case, equal, expect
from cases.grpc import apply
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


def configure(site, change):
    """CHANGE is called with a copy of the configuration, which is applied then."""
    config = copy.deepcopy(site.proxy.config)
    change(config)
    apply(site, config, "valves.json")


def backends_of(config):
    return [backend for region in config["services"][0]["regions"].values()
            for backend in region["backends"]]


def give_capacity(config):
    """10 a backend: 16 of 20 for each region; sheddable requests have a route of their own."""
    for backend in backends_of(config):
        backend["capacity"] = 10
    rest = next(route for route in config["routes"] if route["name"] == "rest")
    config["routes"].append({**rest, "name": "vital", "path": "/events/", "priority": "critical"})
    config["routes"] = [route for route in config["routes"] if route["name"] != "events"]


def hang(site, count, path="/slow?ms=6000", **options):
    """COUNT requests, which stay open for 6 s if PATH does not say otherwise; their client."""
    label = f"client-{time.monotonic_ns()}"
    return site.client_in_background(URL4 + path, label, count=count, **options)


def open_in(site, region):
    return sum(site.backends[name].counts()["open"] for name in REGIONS[region])


@case(needs=NEEDS, fresh=True, timeout_s=120)
def a_region_is_filled_to_its_capacity_and_the_next_one_takes_the_rest(site):
    configure(site, give_capacity)
    client = hang(site, 24)
    wait_until(lambda: site.open_requests() == 24, 30, "24 requests to be open")
    # Workers see each other's with a delay of a millisecond: a few may be above.
    filled = open_in(site, "eu")
    all_ok(site.report_of(client), 24)
    expect(16 <= filled <= 16 + 2 * site.workers, f"{filled} of 24 were in eu, which takes 16")


@case(needs=NEEDS, fresh=True, timeout_s=120)
def what_fits_nowhere_is_refused_the_lowest_priority_first(site):
    """32 fit: 29 normal ones, 23 sheddable ones, all critical ones."""
    configure(site, give_capacity)
    client = hang(site, 29, concurrency=29)
    wait_until(lambda: site.open_requests() >= 26, 30, "the requests to be open")
    others = [hang(site, 5, "/", header="priority:u=7"), hang(site, 5, "/slow?ms=500"),
              hang(site, 1, "/events/")]
    sheddable, normal, vital = (site.report_of(other) for other in others)
    report = site.report_of(client)
    equal(sheddable["statuses"], {"503": 5}, "sheddable requests")
    fields = dict(sheddable["headers"])
    expect("retry-after" in fields and "capacity" in fields["cache-status"], f"{fields}")
    expect(report["statuses"]["200"] >= 27, f"{report['statuses']}")
    equal(vital["statuses"], {"200": 1}, "critical requests")
    expect(normal["statuses"].get("503", 0) >= 1, f"normal requests: {normal['statuses']}")
    all_ok(site.client(URL4 + "/", count=5, header="priority:u=7"), 5)


@case(needs=NEEDS, fresh=True, timeout_s=180)
def a_region_that_is_half_there_spills_in_proportion(site):
    """A is 50 %: 1.4 times that, 70 of 100 flights, stay; the others go to the next region."""
    def change(config):
        config.setdefault("failover", {})["degraded_dwell"] = "1s"
    configure(site, change)
    site.backends["eu-1"].ask("/set?health=503")
    wait_until(lambda: site.proxy.region("eu")["automatic"] == "degraded", 60, "eu degraded")
    wait_until(lambda: site.proxy.region("eu")["share_permille"] == 700, 30, "a share of 70 %")
    site.reset_counts()
    all_ok(site.client(URL4 + "/slow?ms=1&bytes=10", count=800, concurrency=10), 800)
    here, there = (site.counted(names=REGIONS[name]) for name in ("eu", "us"))
    equal(site.counted(names=["eu-1"]), 0, "requests at the backend that is down")
    # Three standard deviations of 800 dice are 5 %; fewer when requests were coalesced.
    expect(0.60 < here / (here + there) < 0.80, f"{here} in eu, {there} in us")


@case(needs=NEEDS, fresh=True, timeout_s=120)
def in_panic_health_is_not_believed_unless_the_route_wants_it(site):
    def change(config):
        rest = next(route for route in config["routes"] if route["name"] == "rest")
        config["routes"].append({**rest, "name": "strict", "path": "/events/",
                                 "when_no_region": "fail"})
        config["routes"] = [route for route in config["routes"] if route["name"] != "events"]
    configure(site, change)
    for backend in site.backends.values():
        backend.ask("/set?health=503")         # probes fail, requests do not
    wait_until(lambda: not any(site.proxy.backend(name)["usable"] for name in site.backends),
               60, "all backends to be found unhealthy")
    wait_until(lambda: site.client(URL4 + "/", count=1)["statuses"] == {"200": 1}, 30,
               "pages from backends that probes speak against")
    equal(site.client(URL4 + "/events/", count=3)["statuses"], {"503": 3}, "on the strict route")
    for backend in site.backends.values():
        backend.ask("/set?health=200")
    wait_until(lambda: site.client(URL4 + "/events/", count=1)["statuses"] == {"200": 1}, 60,
               "pages on the strict route again")
