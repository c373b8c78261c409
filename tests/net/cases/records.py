"""The access log: a line of JSON for each request that has ended, with what became of it (C24)."""
import json
import os

from case import all_ok, case, equal, expect
from edge_site import URL4, URL6, wait_until

NEEDS = ("access-log",)


def fresh_log(site):
    """Without lines of the cases before."""
    site.proxy.rotate()
    wait_until(lambda: os.path.exists(site.proxy.access_log()), 10, "a new access log")


def records(site, count, **members):
    """Those COUNT records, once they are there."""
    wait_until(lambda: len(site.proxy.records(**members)) >= count, 20,
               f"{count} records with {members}")
    found = site.proxy.records(**members)
    equal(len(found), count, f"records with {members}")
    return found


@case(needs=NEEDS)
def a_record_says_who_asked_what_and_what_was_answered(site):
    fresh_log(site)
    # Not by curl, which leaves when it has as many bytes as announced, before END_STREAM.
    all_ok(site.client(URL4 + "/bytes?n=12345&secret=1", header="authorization:Bearer secret"), 1)
    record = records(site, 1, path="/bytes")[0]
    for member, value in {"method": "GET", "authority": "10.0.0.80", "route": "rest",
                          "status": 200, "end": "finished", "listener": "web4", "role": "own",
                          "alone": "route-off", "bytes_in": 0, "bytes_out": 12345, "attempts": 1,
                          "principal_kind": "credentials"}.items():
        equal(record.get(member), value, member)
    expect(record["backend"].startswith(record["region"]), f"region and backend: {record}")
    expect(0 < record["upstream_us"] <= record["first_byte_us"] <= record["total_us"],
           f"times: {record}")
    with open(site.proxy.access_log(), encoding="utf-8") as file:
        expect("secret" not in file.read(), "a secret stands in the log")
    all_ok(site.client(URL6 + "/bytes?n=1"), 1)
    record = records(site, 1, listener="web6")[0]
    equal(record["principal_kind"], "address", "of a client without credentials")
    expect(":" in record["client"], f"an IPv6 client: {record}")


@case(needs=NEEDS)
def who_shared_a_flight_names_it(site):
    fresh_log(site)
    target = "/shared/slow?ms=1000&key=record"
    all_ok(site.client(URL4 + target, count=40, connections=max(8, 4 * site.workers)), 40)
    found = records(site, 40, path="/shared/slow")
    equal(sum(record["role"] == "leader" for record in found), 1, "leaders")
    equal(sum(record["role"] == "joined" for record in found), 39, "who joined")
    for member in ("flight", "backend", "attempts", "upstream_us"):
        equal(len({record[member] for record in found}), 1, f"different values of {member}")
    for record in found:
        expect(record["role"] != "joined" or record["join_offset"] == 0, f"{record}")


@case(needs=NEEDS)
def who_came_late_has_the_offset_and_what_was_replayed(site):
    fresh_log(site)
    target = "/shared/stream?chunks=120&interval_ms=100&key=late"
    first = site.client_in_background(URL4 + target, "first")
    wait_until(lambda: site.counted(target) == 1, 10, "the flight")
    wait_until(lambda: any(flight["body_bytes"] > 0 for flight in
                           site.proxy.ctl("flight", "list")["flights"]), 10, "some of its body")
    all_ok(site.client(URL4 + target), 1)
    all_ok(site.report_of(first), 1)
    joined = records(site, 1, role="joined")[0]
    expect(joined["join_offset"] > 0, f"{joined}")
    equal(joined["replayed"], joined["join_offset"], "bytes replayed")
    equal(site.counted(target), 1, "requests at the backends")


@case(needs=NEEDS)
def who_was_sent_away_says_why_and_from_where(site):
    fresh_log(site)
    target = "/shared/slow?ms=1000&key=away&h=cache-control:no-store"
    all_ok(site.client(URL4 + target, count=6, connections=3), 6)
    found = records(site, 6, path="/shared/slow")
    detached = [record for record in found if record["role"] == "detached"]
    equal(len(detached), 5, "requests that were sent away")
    leader = next(record for record in found if record["role"] == "leader")
    for record in detached:
        equal(record["alone"], "unshareable", "the reason")
        equal(record["detached_from"], leader["flight"], "the flight it was on before")
        expect(record["flight"] != leader["flight"], f"{record}")


@case(needs=NEEDS)
def a_second_attempt_is_told_with_its_reason(site):
    fresh_log(site)
    site.client(URL4 + "/refuse", expect_status=503)
    record = records(site, 1, path="/refuse")[0]
    equal((record["attempts"], record["retried"], record["local"], record["failure"]),
          (2, "unprocessed", "flight", "reset"), "of a stream refused twice")


@case(needs=NEEDS)
def what_weir_answers_itself_has_a_name(site):
    fresh_log(site)
    site.curl(URL4 + "/x", "-X", "TRACE", check=False)
    record = records(site, 1, method="TRACE")[0]
    equal((record["status"], record["local"], record["role"]), (501, "method", "none"),
          "of a method that is not forwarded")


@case(needs=NEEDS)
def a_client_that_leaves_is_told_apart_from_one_that_is_lost(site):
    fresh_log(site)
    site.client(URL4 + "/bytes?n=50000000", abort_after=1, expect_abort=True, abort_how="rst",
                window=200_000)
    reset = records(site, 1, end="client-reset")[0]
    equal(reset["code"], 8, "CANCEL")
    expect(reset["bytes_out"] < 50_000_000, f"{reset}")
    site.client(URL4 + "/bytes?n=50000000", abort_after=1, expect_abort=True, abort_how="close",
                window=200_000)
    records(site, 1, end="client-lost")


@case(needs=NEEDS)
def an_answer_that_breaks_is_a_reset_with_its_reason(site):
    fresh_log(site)
    site.client(URL4 + "/abort?after=900000&how=rst", expect_abort=True)
    record = records(site, 1, path="/abort")[0]
    equal((record["end"], record["code"], record["failure"]), ("reset", 2, "reset"), "its end")


@case(needs=NEEDS)
def a_renamed_log_is_left_alone_after_reopen(site):
    fresh_log(site)
    all_ok(site.client(URL4 + "/", count=20), 20)
    records(site, 20, path="/")
    old = site.proxy.rotate()
    with open(old, encoding="utf-8") as file:
        equal(len(file.read().splitlines()), 20, "lines in the old log")
    all_ok(site.client(URL4 + "/", count=7), 7)
    records(site, 7, path="/")
    with open(old, encoding="utf-8") as file:
        equal(len(file.read().splitlines()), 20, "lines in the old log")


@case(needs=NEEDS)
def every_request_of_a_load_has_a_line(site):
    """As long as nothing says that lines were lost."""
    fresh_log(site)
    report = site.h2load("-n", "5000", "-c", "8", "-m", "10", URL4 + "/")
    equal(report["succeeded"], 5000, "requests that succeeded")
    found = records(site, 5000, path="/")
    equal({(record["status"], record["end"]) for record in found}, {(200, "finished")}, "ends")
    counters = site.proxy.ctl("stats", "request.access")["counters"]
    equal(counters["request.access_lost"]["sum"], 0, "records lost")


@case(needs=NEEDS)
def the_log_can_be_changed_while_running(site):
    fresh_log(site)
    config = site.proxy.ctl("config", "get")["config"]

    def apply(access):
        path = site.lab.path("records.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**config, "log": {"access": access}}, file)
        site.proxy.ctl("config", "apply", path)

    try:
        apply({"path": site.proxy.access_log(), "sample": 0, "query": True})
        all_ok(site.client(URL4 + "/", count=20), 20)
        site.client(URL4 + "/refuse?q=1", expect_status=502)
        record = records(site, 1)[0]
        equal((record["path"], record["status"]), ("/refuse?q=1", 502), "the only record")
        apply({})
        before = site.proxy.ctl("stats", "request.access")["counters"]
        all_ok(site.client(URL4 + "/", count=20), 20)
        after = site.proxy.ctl("stats", "request.access")["counters"]
        equal(after, before, "counters of a log that is off")
    finally:
        apply({"path": site.proxy.access_log()})
