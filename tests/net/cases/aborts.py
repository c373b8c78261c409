"""Somebody goes away in the middle: it is noticed, honest, and hurts nobody else."""
from case import all_ok, case, equal, expect
from edge_site import URL4, parse_h2load, wait_until


def count_of(site, counter):
    return site.proxy.ctl("stats", counter)["counters"][counter]["sum"]


def backends_idle(site):
    """The backends have no request of ours left: cancellations arrived there."""
    wait_until(lambda: site.open_requests() == 0, 20, "cancelled requests to end at the backends")


@case()
def a_client_that_resets_a_download_frees_the_backend(site):
    for after in (0, 1, 100_000):
        report = site.client(URL4 + "/bytes?n=50000000", count=10, abort_after=after,
                             expect_abort=True, abort_how="rst", window=200_000)
        all_ok(report, 10)
    backends_idle(site)
    all_ok(site.client(URL4 + "/", count=10), 10)


@case(needs=("coalesce",))
def a_cancellation_reaches_the_backend_at_once_or_after_the_linger(site):
    """Both clients leave at about the same time; a GET that others may join goes on a while."""
    lingering, plain = "/shared/hang?key=linger", "/hang?key=plain"
    clients = [site.client_in_background(URL4 + lingering, "get", timeout=2, expect_abort=True),
               site.client_in_background(URL4 + plain, "post", method="POST", timeout=2,
                                         expect_abort=True)]
    wait_until(lambda: site.counted(lingering) == site.counted(plain) == 1, 10, "both requests")
    for client in clients:
        all_ok(site.report_of(client), 1)
    wait_until(lambda: site.cancelled(lingering) and site.cancelled(plain), 10,
               "both to be cancelled")
    expect(site.cancelled(plain) < site.cancelled(lingering), "the GET did not linger")
    backends_idle(site)


@case()
def a_client_that_disconnects_during_a_download_frees_the_backend(site):
    for after in (0, 1, 100_000):
        report = site.client(URL4 + "/bytes?n=50000000", count=5, connections=5, abort_after=after,
                             expect_abort=True, abort_how="close", window=200_000)
        all_ok(report, 5)
    backends_idle(site)
    all_ok(site.client(URL4 + "/", count=10), 10)


@case()
def a_client_that_gives_up_an_upload_frees_the_backend(site):
    for how in ("rst", "close"):
        report = site.client(URL4 + "/echo", method="POST", body_size=20_000_000, count=5,
                             connections=5, abort_upload=500_000, abort_how=how, expect_abort=True)
        all_ok(report, 5)
    backends_idle(site)
    all_ok(site.client(URL4 + "/", count=10), 10)


@case()
def an_answer_the_backend_breaks_is_never_sold_as_complete(site):
    """One that windows can hold may break before anything was forwarded: 502 is honest, too."""
    for how in ("rst", "close"):
        for after in (1, 1000, 200_000, 900_000):
            short = {"or_error": True} if after <= 200_000 else {}
            report = site.client(f"{URL4}/abort?after={after}&how={how}", count=3,
                                 expect_abort=True, **short)
            all_ok(report, 3)
            expect(report["content"] <= 3 * after, f"{report['content']} bytes of 3 x {after}")
    all_ok(site.client(URL4 + "/", count=10), 10)


@case()
def a_refused_stream_is_tried_at_most_twice(site):
    """REFUSED_STREAM proves nothing was processed: one other attempt, then an honest error."""
    report = site.client(URL4 + "/refuse", expect_status=503)
    expect(report["total"] == 1 and report["statuses"].get("200") is None,
           f"refused everywhere, and yet: {report}")
    seen = site.counted("/refuse")
    expect(1 <= seen <= 2, f"{seen} attempts at the backends")


def load_under_way(site):
    load = site.h2load_in_background("load", "-n", "3000", "-c", "4", "-m", "4", "--rps=250",
                                     URL4 + "/")
    wait_until(lambda: site.counted("/") > 300, 20, "some requests")
    return load


def outcome_of(load):
    wait_until(lambda: not load.alive(), 40, "h2load to end")
    return parse_h2load(load.log())


@case()
def a_goaway_from_a_backend_costs_nothing(site):
    """One after another; what was sent too late goes to another backend."""
    load = load_under_way(site)
    for name, backend in site.backends.items():
        if site.counted("/", [name]) == 0:
            continue
        seen = count_of(site, "upstream.connections_goaway")
        backend.goaway()
        wait_until(lambda before=seen: count_of(site, "upstream.connections_goaway") > before, 10,
                   "GOAWAY to arrive")
    outcome = outcome_of(load)
    equal((outcome["succeeded"], outcome["failed"]), (3000, 0), outcome["text"])


@case()
def goaways_of_all_backends_at_once_cost_what_met_two_of_them(site):
    """C14: no third attempt for a request that was sent too late to one backend and then another."""
    before = count_of(site, "coalesce.retries_denied_second")
    load = load_under_way(site)
    for backend in site.backends.values():
        backend.goaway()
    outcome = outcome_of(load)
    denied = count_of(site, "coalesce.retries_denied_second") - before
    equal(outcome["succeeded"] + outcome["5xx"], 3000, outcome["text"])
    equal(outcome["5xx"], denied, outcome["text"])


@case(needs=("hang",), timeout_s=150)
def a_backend_that_hangs_ends_in_504(site):
    report = site.client(URL4 + "/hang", expect_status=504, timeout=90)
    equal(report["statuses"], {"504": 1}, "statuses")
    backends_idle(site)


@case()
def other_requests_pass_a_hanging_one(site):
    hanging = site.client_in_background(URL4 + "/hang", "hanging", count=5)
    wait_until(lambda: site.counted("/hang") >= 5, 10, "requests to hang")
    all_ok(site.client(URL4 + "/", count=500, connections=2, concurrency=20), 500)
    hanging.kill()
    backends_idle(site)
