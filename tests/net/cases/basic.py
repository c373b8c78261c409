"""One request at a time, with clients people use."""
import json

from case import all_ok, case, equal, expect
from edge_site import URL4, URL6


@case()
def curl_gets_a_page_over_ipv4(site):
    page = site.curl(URL4 + "/").stdout.decode()
    expect(" answer " in page, f"unexpected page {page!r}")


@case()
def curl_gets_a_page_over_ipv6(site):
    page = site.curl(URL6 + "/").stdout.decode()
    expect(" answer " in page, f"unexpected page {page!r}")


@case()
def nghttp_gets_a_page(site):
    for url in (URL4, URL6):
        done = site.lab.run("clients", ["nghttp", "-v", "--no-dep", url + "/"])
        expect(b":status: 200" in done.stdout, f"nghttp at {url}: {done.stdout.decode()[-500:]}")


@case()
def head_has_a_length_and_no_body(site):
    report = site.client(URL4 + "/bytes?n=1234", method="HEAD")
    all_ok(report, 1)
    equal(report["bytes"], 0, "body bytes of a HEAD answer")
    equal(dict(report["headers"]).get("content-length"), "1234", "content-length")


@case()
def request_fields_arrive_at_the_backend(site):
    report = site.client(URL4 + "/headers", header=["x-one:1", "x-two: two words", "x-one:again"],
                         authority="shop.example")
    all_ok(report, 1)
    fields = [tuple(field) for field in json.loads(report["body"])]
    for field in ((":method", "GET"), (":path", "/headers"), ("x-one", "1"), ("x-one", "again"),
                  ("x-two", "two words"), (":authority", "shop.example")):
        expect(field in fields, f"{field} is missing in {fields}")


@case(needs=("max-forwards",))
def max_forwards_of_options_counts_hops_and_trace_is_refused(site):
    last = site.client(URL4 + "/headers", method="OPTIONS", header=["max-forwards:0"])
    all_ok(last, 1)
    expect("GET" in dict(last["headers"])["allow"], f"no allow in {last['headers']}")
    equal(site.counted(), 0, "requests at the backends")
    further = site.client(URL4 + "/headers", method="OPTIONS", header=["max-forwards:7"])
    all_ok(further, 1)
    expect(["max-forwards", "6"] in json.loads(further["body"]), f"not 6: {further['body']}")
    for hops in ("0", "7"):
        all_ok(site.client(URL4 + "/", method="TRACE", header=[f"max-forwards:{hops}"],
                           expect_status=501), 1)


@case()
def statuses_pass_unchanged(site):
    for status in (204, 301, 404, 429, 500):
        report = site.client(URL4 + f"/?status={status}&h=x-marker:kept", expect_status=status)
        all_ok(report, 1)
        equal(dict(report["headers"]).get("x-marker"), "kept", f"x-marker with {status}")


@case()
def trailers_pass(site):
    report = site.client(URL4 + "/trailers")
    all_ok(report, 1)
    equal(dict(report["trailers"]), {"x-checksum": "42", "grpc-status": "0"}, "trailers")


@case()
def interim_answers_do_not_disturb_the_final_one(site):
    report = site.client(URL4 + "/hints")
    all_ok(report, 1)


@case()
def server_sent_events_arrive_whole(site):
    report = site.client(URL4 + "/stream?chunks=20&interval_ms=20")
    all_ok(report, 1)
    equal(report["body"].count("data:"), 20, "events")


@case()
def a_new_connection_finds_the_proxy_after_many_closed_ones(site):
    for _ in range(50):
        site.curl(URL4 + "/")
    all_ok(site.client(URL4 + "/", count=100, connections=100), 100)
