"""Requests that are the same and in flight at the same time cost one request at the backends.

Routes of the test configuration: /shared coalesces GET, /ask also POST, everything else nothing.
Every answer of a backend carries a number of its own, so equal bodies prove one answer.
"""
from case import all_ok, case, equal, expect, one_body
from edge_site import URL4, URL6, wait_until

NEEDS = ("coalesce",)


class Crowd:
    """COUNT requests for TARGET, a page that backends hold until all have come to Weir."""

    def __init__(self, site, target, label="crowd", url=URL4, **options):
        self.site, self.target, self.count = site, target, options.get("count", 1)
        self.before = self.asked()
        self.all_have_asked = False
        self.client = site.client_in_background(url + target, label, **options)

    def asked(self):
        counters = self.site.proxy.ctl("stats", "coalesce.")["counters"]
        return sum(counters[f"coalesce.{name}"]["sum"]
                   for name in ("flights", "joined_local", "joined_remote"))

    def wait(self):
        if not self.all_have_asked:
            wait_until(lambda: self.asked() - self.before == self.count, 30, "all to have asked")
            wait_until(lambda: self.site.counted(self.target) >= 1, 10, "a request at a backend")
            self.all_have_asked = True
        return self

    def answered(self):
        """All of them, with one answer; their report."""
        self.wait()
        self.site.release()
        report = self.site.report_of(self.client)
        all_ok(report, self.count)
        one_body(report)
        return report


def spread(site, connections):
    """Clients reach every worker: several connections, whatever the hash says."""
    return max(connections, 4 * site.workers)


@case(needs=NEEDS)
def two_hundred_identical_requests_cost_one(site):
    for number, url in enumerate((URL4, URL6)):
        target = f"/shared/held?key={number}"
        Crowd(site, target, url=url, count=200, connections=spread(site, 20)).answered()
        equal(site.counted(target), 1, "requests at the backends")


@case(needs=NEEDS)
def a_large_shared_answer_is_the_same_for_everybody(site):
    target = "/shared/held?bytes=900000"
    Crowd(site, target, count=60, connections=spread(site, 10)).answered()
    equal(site.counted(target), 1, "requests at the backends")


@case(needs=NEEDS)
def a_stream_of_events_is_shared(site):
    target = "/shared/stream?chunks=20&interval_ms=50"
    report = site.client(URL4 + target, count=50, connections=spread(site, 10))
    all_ok(report, 50)
    one_body(report)
    equal(site.counted(target), 1, "requests at the backends")


@case(needs=NEEDS)
def different_urls_and_principals_do_not_share(site):
    all_ok(site.client(URL4 + "/shared/slow?ms=300&key={i}", count=20, connections=4), 20)
    equal(site.counted(), 20, "requests for different URLs")
    site.reset_counts()
    target = "/shared/slow?ms=300&who=1"
    report = site.client(URL4 + target, count=20, connections=4,
                         header=["authorization:Bearer {i}"])
    all_ok(report, 20)
    equal(len(report["bodies"]), 20, "different answers for different principals")
    equal(site.counted(target), 20, "requests of different principals")


@case(needs=NEEDS)
def routes_without_coalescing_do_not_share(site):
    all_ok(site.client(URL4 + "/slow?ms=300", count=20, connections=4), 20)
    equal(site.counted("/slow?ms=300"), 20, "requests at the backends")


@case(needs=NEEDS)
def a_client_that_opts_out_has_its_own_request(site):
    target = "/shared/slow?ms=300&key=optout"
    report = site.client(URL4 + target, count=10, connections=4,
                         header=["cache-control:no-store"])
    all_ok(report, 10)
    equal(site.counted(target), 10, "requests at the backends")


@case(needs=NEEDS)
def an_answer_that_must_not_be_shared_is_not(site):
    target = "/shared/slow?ms=300&key=private&h=cache-control:no-store"
    report = site.client(URL4 + target, count=10, connections=4)
    all_ok(report, 10)
    equal(len(report["bodies"]), 10, "different answers")


@case(needs=(*NEEDS, "post-body"))
def identical_posts_share_and_different_ones_do_not(site):
    target = "/ask/held?key=post"
    Crowd(site, target, count=100, connections=spread(site, 10), method="POST", body_size=2000,
          body_seed="q").answered()
    equal(site.counted(target), 1, "requests at the backends")
    Crowd(site, target, method="POST", body_size=2000, body_seed="other").answered()
    equal(site.counted(target), 2, "requests after a different body")


@case(needs=NEEDS)
def the_flight_outlives_the_client_that_began_it(site):
    target = "/shared/held?key=leader"
    leader = Crowd(site, target, "leader").wait()
    others = Crowd(site, target, "others", count=30, connections=6).wait()
    leader.client.kill()
    others.answered()
    equal(site.counted(target), 1, "requests at the backends")


@case(needs=NEEDS, fresh=True)
def a_backend_that_dies_costs_the_flight_one_retry(site):
    target = "/shared/held?key=dies"
    crowd = Crowd(site, target, count=100, connections=spread(site, 10)).wait()
    victim = next(name for name in site.backends if site.counted(target, [name]))
    site.backends[victim].kill()
    wait_until(lambda: site.counted(target) == 1, 10, "the request at another backend")
    crowd.answered()
    equal(site.counted(target), 1, "requests at the backends that live")


@case(needs=NEEDS)
def a_shared_answer_that_breaks_is_broken_for_everybody(site):
    target = "/shared/abort?after=50000&how=close"
    report = site.client(URL4 + target, count=20, connections=4, expect_abort=True,
                         or_error=True)
    all_ok(report, 20)
    expect(site.counted(target) <= 20, f"{site.counted(target)} requests at the backends")


@case(needs=NEEDS)
def get_and_head_do_not_share(site):
    target = "/shared/held?key=head"
    head = Crowd(site, target, "head", method="HEAD", count=5).wait()
    report = Crowd(site, target, count=5).answered()
    expect(report["bytes"] > 0, "GET answers have a body")
    equal(head.answered()["bytes"], 0, "body bytes of HEAD answers")
    equal(site.counted(target), 2, "requests at the backends")
