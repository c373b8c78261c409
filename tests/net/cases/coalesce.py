"""Requests that are the same and in flight at the same time cost one request at the backends.

Routes of the test configuration: /shared coalesces GET, /ask also POST, everything else nothing.
Every answer of a backend carries a number of its own, so equal bodies prove one answer.
"""
from case import all_ok, case, equal, expect, one_body
from edge_site import URL4, URL6, wait_until

NEEDS = ("coalesce",)


def spread(site, connections):
    """Clients reach every worker: several connections, whatever the hash says."""
    return max(connections, 4 * site.workers)


@case(needs=NEEDS)
def two_hundred_identical_requests_cost_one(site):
    for number, url in enumerate((URL4, URL6)):
        target = f"/shared/slow?ms=2000&key={number}"
        report = site.client(url + target, count=200, connections=spread(site, 20))
        all_ok(report, 200)
        one_body(report)
        equal(site.counted(target), 1, "requests at the backends")


@case(needs=NEEDS)
def a_large_shared_answer_is_the_same_for_everybody(site):
    target = "/shared/slow?ms=1500&bytes=900000"
    report = site.client(URL4 + target, count=60, connections=spread(site, 10))
    all_ok(report, 60)
    one_body(report)
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
    target = "/ask/slow?ms=500&key=post"
    report = site.client(URL4 + target, count=100, connections=spread(site, 10), method="POST",
                         body_size=2000, body_seed="q")
    all_ok(report, 100)
    one_body(report)
    equal(site.counted(target), 1, "requests at the backends")
    all_ok(site.client(URL4 + target, method="POST", body_size=2000, body_seed="other"), 1)
    equal(site.counted(target), 2, "requests after a different body")


@case(needs=NEEDS)
def the_flight_outlives_the_client_that_began_it(site):
    target = "/shared/slow?ms=1500&key=leader"
    leader = site.client_in_background(URL4 + target, "leader")
    wait_until(lambda: site.counted(target) == 1, 10, "the first request at a backend")
    others = site.client_in_background(URL4 + target, "others", count=30, connections=6,
                                       events=True)
    wait_until(lambda: others.log().count("sent") == 30, 10, "the others to have asked")
    leader.kill()
    report = site.report_of(others)
    all_ok(report, 30)
    one_body(report)
    equal(site.counted(target), 1, "requests at the backends")


@case(needs=NEEDS, fresh=True)
def a_backend_that_dies_costs_the_flight_one_retry(site):
    target = "/shared/slow?ms=1500&key=dies"
    clients = site.client_in_background(URL4 + target, "flight", count=100,
                                        connections=spread(site, 10))
    wait_until(lambda: site.counted(target) == 1, 10, "the request at a backend")
    victim = next(name for name in site.backends if site.counted(target, [name]))
    site.backends[victim].kill()
    report = site.report_of(clients)
    all_ok(report, 100)
    one_body(report)
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
    target = "/shared/slow?ms=1500&key=head"
    head = site.client_in_background(URL4 + target, "head", method="HEAD", count=5)
    report = site.client(URL4 + target, count=5)
    all_ok(report, 5)
    expect(report["bytes"] > 0, "GET answers have a body")
    head_report = site.report_of(head)
    all_ok(head_report, 5)
    equal(head_report["bytes"], 0, "body bytes of HEAD answers")
    equal(site.counted(target), 2, "requests at the backends")
