"""What three nodes do together while regions, Redis, nodes and the ways between them fail.

Each case runs a steady load on every node. Counts and final states are asserted, times are only
told (`run.py -v`, `scripts/bench failover`): how long it took until the region was agreed to be down
compared with the dwell, and how long clients waited.
"""
import contextlib
import json
import signal
import time

import figures
from case import case, equal, expect
from cluster_site import DWELL_MS, NODES, REDIS, now_ms
from edge_site import wait_until
from netlab import REGIONS

NEEDS = ("cluster",)
ONE = (1,)                                # three nodes are enough for two cores
AROUND_S = 1                              # before and after an event, for what clients felt


class Event:
    """A load on all nodes, from before something happens until all is well again."""

    def __init__(self, site, name, **options):
        self.site, self.name = site, name
        self.before = self.counters()
        self.epoch = site.cluster.epoch()
        self.load = site.steady_load(**options)
        self.at_ms = self.at_s = self.over_s = None
        self.lost_nodes = set()

    def counters(self):
        return {name: self.coalesce(node) for name, node in self.site.nodes.items()}

    @staticmethod
    def coalesce(node):
        counters = node.ctl("stats", "coalesce")["counters"]
        return {name.removeprefix("coalesce."): value["sum"] for name, value in counters.items()}

    def begins(self):
        self.at_ms, self.at_s = now_ms(), time.monotonic()

    def is_over(self):
        self.over_s = time.monotonic()

    def moves(self, region, to):
        """When the region was agreed to be that, by the audit: ms since the event."""
        return [when - self.at_ms for when, entry in self.site.audit() if when >= self.at_ms
                and entry["region"] == region and entry["to"] == to and entry["from"] != to]

    def downs(self, region):
        return self.moves(region, "down")

    def end(self, region=None):
        """Stops the load, adds a row of figures and returns the report of all nodes as one."""
        self.load.signal(signal.SIGTERM)
        self.load.wait(60)
        targets = json.loads(self.load.log().splitlines()[-1])["targets"]
        whole = self.sum_of(targets)
        whole.update(self.upstream())
        figures.add(self.name, **{name: whole[name] for name in (
            "requests", "failed", "begun", "refused", "flights", "upstream", "retries",
            "p50_ms", "p99_ms", "max_ms")},
            suspect_ms=min(self.moves(region, "suspect"), default=None),
            down_ms=min(self.moves(region, "down"), default=None),
            dwell_ms=DWELL_MS if region else None)
        return whole

    def sum_of(self, targets):
        lost = {self.site.nodes[name].url for name in self.lost_nodes}
        kept = [target for url, target in targets.items() if url not in lost]
        felt = sorted(took for target in kept for sent, took in target["done"]
                      if self.at_s - AROUND_S <= sent <= self.over_s + AROUND_S)
        report = {"requests": sum(target["total"] for target in kept),
                  "reasons": [target["reasons"] for target in targets.values()],
                  "p50_ms": felt[len(felt) // 2], "p99_ms": felt[len(felt) * 99 // 100],
                  "max_ms": felt[-1]}
        for name in ("failed", "begun", "refused"):
            report[name] = sum(target[name] for target in kept)
        return report

    def upstream(self):
        """What the nodes asked backends for; those that were restarted count from then on."""
        sums = {"flights": 0, "upstream": 0, "retries": 0, "grown": {}}
        for name, after in self.counters().items():
            before = {} if name in self.lost_nodes else self.before[name]
            grown = {key: value - before.get(key, 0) for key, value in after.items()}
            sums["grown"][name] = {key: value for key, value in grown.items() if value
                                   and not key.startswith("bypass")}
            sums["flights"] += grown["flights"]
            sums["upstream"] += grown["attempts"] - grown["connects_moved"]
            sums["retries"] += sum(value for key, value in grown.items()
                                   if key.startswith("retries_") and "denied" not in key)
        return sums


@contextlib.contextmanager
def mended(mend):
    """Whatever becomes of the case, the lab is whole for the next one."""
    try:
        yield
    finally:
        mend()


def nobody_noticed(report):
    """No request failed that had not begun, and none cost more than one request beyond its own."""
    equal((report["failed"], report["refused"]), (0, 0), f"failed requests, {report['reasons']}, {report['grown']}")
    no_multiplication(report)


def no_multiplication(report):
    expect(report["upstream"] <= report["flights"] + report["retries"],
           f"more upstream requests than flights and their retries: {report}")


def links(site, names, state):
    for name in names:
        site.lab.link(name, state)


def expect_moved(site, event):
    """All nodes agree that eu is down and us carries."""
    site.wait_agreed("eu", "down")
    event.is_over()
    expect(site.cluster.agrees("us", "up"), f"us: {site.cluster.automatic('us')}")


def expect_back(site):
    site.wait_agreed("eu", "up", timeout_s=90)
    site.wait_whole()


@case(needs=NEEDS, workers=ONE, timeout_s=240, site="cluster")
def a_region_is_killed(site):
    event = Event(site, "region killed")
    event.begins()
    for name in REGIONS["eu"]:
        site.backends[name].kill()
    expect_moved(site, event)
    for name in REGIONS["eu"]:
        site.backends[name].start()
    expect_back(site)
    equal(len(event.downs("eu")), 1, "times that eu went down")
    nobody_noticed(event.end("eu"))


@case(needs=NEEDS, workers=ONE, timeout_s=240, site="cluster")
def a_region_falls_silent(site):
    event = Event(site, "region silent")
    with mended(lambda: links(site, REGIONS["eu"], "up")):
        event.begins()
        links(site, REGIONS["eu"], "down")
        expect_moved(site, event)
    expect_back(site)
    equal(len(event.downs("eu")), 1, "times that eu went down")
    nobody_noticed(event.end("eu"))


@case(needs=NEEDS, workers=ONE, timeout_s=300, site="cluster")
def a_region_flaps(site):
    """Four seconds away, four seconds there: it stays out rather than coming and going with it."""
    event = Event(site, "region flaps")
    with mended(lambda: links(site, REGIONS["eu"], "up")):
        event.begins()
        for _ in range(2):
            links(site, REGIONS["eu"], "down")
            time.sleep(4)
            links(site, REGIONS["eu"], "up")
            time.sleep(4)
        event.is_over()
    expect_back(site)
    expect(1 <= len(event.downs("eu")) <= 2, f"eu went down {len(event.downs('eu'))} times")
    equal(event.downs("us"), [], "times that us went down")
    nobody_noticed(event.end("eu"))


@case(needs=NEEDS, workers=ONE, timeout_s=240, site="cluster")
def a_region_becomes_slow(site):
    """Answers, and those to probes, take far longer than a probe waits; nothing is lost."""
    event = Event(site, "region slow")
    event.begins()
    for name in REGIONS["eu"]:
        site.backends[name].ask("/set?delay_ms=1500")
    expect_moved(site, event)
    for name in REGIONS["eu"]:
        site.backends[name].ask("/set?delay_ms=0")
    expect_back(site)
    nobody_noticed(event.end("eu"))


@contextlib.contextmanager
def parted(site, names):
    """Redis and the Sentinels are silent for these nodes, which have noticed."""
    def part(apart):
        for redis in REDIS:
            for name in names:
                site.lab.part(name, redis, apart)
    part(True)
    with mended(lambda: part(False)):
        wait_until(lambda: all(site.nodes[name].ctl("status")["failover"]["frozen"]
                               for name in names), 60 * site.slowness(), "the freeze")
        yield


def kill_region_while_parted(site, event, names, decides):
    """eu dies while the nodes of that name are parted from Redis; then everything is mended."""
    with parted(site, names):
        event.begins()
        for name in REGIONS["eu"]:
            site.backends[name].kill()
        if decides:
            wait_until(lambda: all(node.region("eu")["automatic"] == "down"
                                   for name, node in site.nodes.items() if name not in names),
                       60 * site.slowness(), "the others to decide")
        else:
            time.sleep(2 * DWELL_MS / 1000)
        event.is_over()
        held = [node.region("eu")["automatic"] for name, node in site.nodes.items()
                if name in names or not decides]
        equal(set(held), {"up"}, "what those hold of eu that cannot decide")
    site.wait_agreed("eu", "down")
    for name in REGIONS["eu"]:
        site.backends[name].start()
    expect_back(site)


@case(needs=NEEDS, workers=ONE, timeout_s=300, site="cluster")
def a_node_without_redis_neither_decides_nor_fails_requests(site):
    """One of three is parted from all Redis: the others decide; it follows when it is back."""
    event = Event(site, "1 of 3 without Redis, region killed")
    kill_region_while_parted(site, event, ["node-3"], decides=True)
    nobody_noticed(event.end("eu"))


@case(needs=NEEDS, workers=ONE, timeout_s=300, site="cluster")
def two_nodes_without_redis_leave_the_third_no_quorum(site):
    event = Event(site, "2 of 3 without Redis, region killed")
    kill_region_while_parted(site, event, ["node-2", "node-3"], decides=False)
    nobody_noticed(event.end())


@case(needs=NEEDS, workers=ONE, timeout_s=300, site="cluster")
def without_redis_nobody_decides_and_no_request_fails(site):
    """All nodes are parted from Redis and then a region dies: everything stays as agreed."""
    event = Event(site, "all without Redis, region killed")
    kill_region_while_parted(site, event, list(NODES), decides=False)
    nobody_noticed(event.end())


@case(needs=NEEDS, workers=ONE, timeout_s=300, site="cluster")
def the_master_of_redis_is_killed(site):
    event = Event(site, "Redis master killed")
    old = site.master()
    event.begins()
    old.kill()
    wait_until(lambda: site.master() is not old, 60 * site.slowness(), "Sentinel to promote another")
    wait_until(lambda: all(node.store_connected() for node in site.nodes.values()),
               60 * site.slowness(), "all nodes to find it")
    event.is_over()
    site.wait_whole()
    expect(site.cluster.epoch() >= event.epoch, "no epoch came back")
    nobody_noticed(event.end())


@case(needs=NEEDS, workers=ONE, timeout_s=300, site="cluster")
def redis_is_wiped(site):
    """The state that was agreed comes back, the override with it."""
    site.nodes["node-1"].ctl("region", "drain", "us")
    wait_until(lambda: not any(node.region("us")["active"] for node in site.nodes.values()), 30,
               "us to be drained everywhere")
    event = Event(site, "Redis wiped")
    event.begins()
    site.master().cli("flushall")
    wait_until(lambda: site.master().cli("hget", "weir:{net}:state", "region:us:override")
               == "drain", 60 * site.slowness(), "the state to be written again")
    event.is_over()
    wait_until(site.cluster.same_epoch, 30, "the same epoch everywhere")
    expect(site.cluster.epoch() > event.epoch, "a new epoch")
    equal([entry["what"] for _, entry in site.audit()][:1], ["reassert"], "the first entry")
    equal([node.region("us")["override"] for node in site.nodes.values()], ["drain"] * 3, "us")
    site.nodes["node-2"].ctl("region", "undrain", "us")
    site.wait_whole()
    nobody_noticed(event.end())


@case(needs=NEEDS, workers=ONE, timeout_s=300, site="cluster")
def a_node_is_killed_and_comes_back_without_redis(site):
    """It remembers what was agreed, from its disk, and the others go on."""
    site.nodes["node-1"].ctl("region", "drain", "us")
    wait_until(lambda: not any(node.region("us")["active"] for node in site.nodes.values()), 30,
               "us to be drained everywhere")
    lost = site.nodes["node-3"]
    event = Event(site, "node killed")
    event.lost_nodes.add("node-3")

    event.begins()
    lost.process.kill()
    for redis in REDIS:
        site.lab.part("node-3", redis)
    with mended(lambda: [site.lab.part("node-3", redis, False) for redis in REDIS]):
        lost.start()
        wait_until(lost.serves, 60 * site.slowness(), "it to serve again")
        event.is_over()
        expect(not lost.region("us")["active"], "it remembers that us is drained")
        expect(not lost.store_connected(), "it has no store")
    wait_until(lost.store_connected, 60 * site.slowness(), "it to find the store")
    site.nodes["node-3"].ctl("region", "undrain", "us")
    site.wait_whole()
    nobody_noticed(event.end())


@case(needs=NEEDS, workers=ONE, fresh=True, timeout_s=300, site="cluster")
def a_region_is_lost_together_with_the_master_of_redis(site):
    """Sentinel promotes another one first; then the region is agreed to be down."""
    event = Event(site, "region and Redis master silent")
    old = site.master()
    away = (*REGIONS["eu"], old.name)
    with mended(lambda: links(site, away, "up")):
        event.begins()
        links(site, away, "down")
        expect_moved(site, event)
        expect(site.master() is not old, "another master decided")
    expect_back(site)
    wait_until(lambda: old.role() != "master", 60 * site.slowness(), "the old one to follow")
    nobody_noticed(event.end("eu"))
