"""A thousand clients, or five (WEIR_CROWD), wait for one answer while things break.

Requests are counted at the backends; the clients compare every byte (tests/load/crowd). Every
backend's answer carries its name and a number, so bytes of another answer would be seen.
"""
import copy
import hashlib
import json

from case import case, equal, expect
from cases.grpc import apply
from crowd import CANCEL, INTERNAL_ERROR, MEMBERS, Crowd, expect_all_complete, where
from netlab import REGIONS, VIP6

NEEDS = ("coalesce",)
PATIENT_MS = 3000 + MEMBERS      # all have asked by then, also on a busy machine
STREAM = "/shared/stream?chunks={chunks}&interval_ms=100&wait_ms={wait_ms}&key={key}"


def stream(key, wait_ms=0, chunks=20):
    return STREAM.format(key=key, wait_ms=wait_ms, chunks=chunks)


def with_shared(site, **keys):
    """The configuration with more keys of the route /shared/, at work."""
    config = copy.deepcopy(site.proxy.config)
    route = next(route for route in config["routes"] if route["name"] == "shared")
    coalesce = keys.pop("coalesce", {})
    route.update(keys)
    route["coalesce"] = {**route["coalesce"], **coalesce}
    apply(site, config, "crowd.json")


@case(needs=NEEDS)
def one_event_stream_for_all_costs_one_request(site):
    for key, address in (("v4", "10.0.0.80"), ("v6", VIP6)):
        crowd = Crowd(site, stream(key, 1000), address=address)
        crowd.wait_subscribed()
        expect_all_complete(crowd.report(), MEMBERS)
        equal(site.counted(stream(key, 1000)), 1, "requests at the backends")


@case(needs=NEEDS, fresh=True)
def a_backend_killed_before_headers_costs_one_more_request(site):
    target = stream("killed", PATIENT_MS)
    crowd = Crowd(site, target)
    crowd.wait_subscribed()
    site.backends[where(site, target)].kill()
    expect_all_complete(crowd.report(), MEMBERS)
    equal(site.counted(target), 1, "requests at the backends that live")


def killed_in_the_middle(site, key):
    target = stream(key, chunks=300)
    crowd = Crowd(site, target)
    crowd.wait_for("flowing")
    victim = where(site, target)
    site.backends[victim].kill()
    report = crowd.report()
    equal(report["resets"], {INTERNAL_ERROR: MEMBERS}, f"resets in {report}")
    equal(report["complete"], 0, "truncated answers that were sold as complete")
    equal(site.counted(target), 0, "requests at the backends that live")
    return report["answers"][0]


@case(needs=NEEDS, fresh=True)
def a_stream_that_breaks_after_its_headers_is_reset_for_everybody(site):
    text = killed_in_the_middle(site, "cut")
    expect("event: error" not in text, f"an event nobody asked for: {text[-200:]}")


@case(needs=NEEDS, fresh=True)
def a_stream_that_breaks_says_so_where_that_is_configured(site):
    with_shared(site, event_stream_error="upstream lost")
    text = killed_in_the_middle(site, "told")
    expect(text.endswith("event: error\ndata: upstream lost\n\n"), f"ends with {text[-200:]!r}")
    equal(text.count("event: error"), 1, "error events")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def a_region_killed_before_headers_costs_one_more_request(site):
    target = stream("region", PATIENT_MS)
    crowd = Crowd(site, target)
    crowd.wait_subscribed()
    where(site, target)
    for name in REGIONS["eu"]:
        site.backends[name].kill()
    expect_all_complete(crowd.report(), MEMBERS)
    equal(site.counted(target), 1, "requests in the other region")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def a_region_that_falls_silent_before_headers_costs_one_more_request(site):
    """The cables are cut: no FIN, no RST, nothing. Its backends go on, and nobody hears them."""
    target = stream("silent", PATIENT_MS + 3000)
    crowd = Crowd(site, target)
    crowd.wait_subscribed()
    where(site, target)
    for name in REGIONS["eu"]:
        site.lab.link(name, "down")
    expect_all_complete(crowd.report(), MEMBERS)
    equal(site.counted(target), 2, "requests in both regions")


@case(needs=NEEDS)
def half_of_all_leave_and_nobody_else_notices(site):
    for key, leave_bytes in (("asked", 0), ("first", 1), ("middle", 400)):
        crowd = Crowd(site, stream(key, 500), leave_percent=50, leave_bytes=leave_bytes)
        report = crowd.report()
        equal(report["left"], MEMBERS // 2, f"who left in {report}")
        expect_all_complete(report, MEMBERS - MEMBERS // 2)
        equal(site.counted(stream(key, 500)), 1, "requests at the backends")


@case(needs=NEEDS, fresh=True)
def half_of_all_leave_while_the_backend_dies(site):
    target = stream("leaving", PATIENT_MS)
    crowd = Crowd(site, target, leave_percent=50)
    crowd.wait_subscribed(MEMBERS - MEMBERS // 2)
    site.backends[where(site, target)].kill()
    report = crowd.report()
    equal(report["left"], MEMBERS // 2, f"who left in {report}")
    expect_all_complete(report, MEMBERS - MEMBERS // 2)
    equal(site.counted(target), 1, "requests at the backends that live")


@case(needs=NEEDS, fresh=True)
def slow_readers_are_cut_off_and_the_others_get_everything(site):
    """Rule C15, with less held for a flight than by default, at a rate the machine can deliver."""
    members = MEMBERS // 2
    with_shared(site, coalesce={"flight_bytes": "64KiB"})
    pause_ms = max(MEMBERS // 10, 20)
    target = f"/shared/stream?chunks=30&interval_ms={pause_ms}&event_bytes=8000&key=slow"
    crowd = Crowd(site, target, members=members, slow_percent=10)
    report = crowd.report()
    equal(report["resets"], {CANCEL: members // 10}, f"resets in {report}")
    expect_all_complete(report, members - members // 10)
    equal(site.counted(target), 1, "requests at the backends")


# All bodies of a connection fit its first window and come whole: of those that have not ended a
# worker holds only so many (rule C1).
QUESTION_BYTES = 1000


def expect_echoes(report, bodies):
    """The answers in their order: what /echo says of each body."""
    expected = [{"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
                for body in bodies]
    equal([json.loads(text) for text in report["answers"]], expected, "answers")


def question(number, length):
    text = f"question {number} ".encode()
    return (text * (length // len(text) + 1))[:length]


@case(needs=("coalesce", "post-body"))
def equal_questions_share_and_different_ones_do_not(site):
    for questions in (1, 25):
        target = f"/ask/echo?ms={PATIENT_MS}&key={questions}"
        crowd = Crowd(site, target, questions=questions, question_bytes=QUESTION_BYTES)
        crowd.wait_subscribed()
        report = crowd.report()
        expect_all_complete(report, MEMBERS)
        expect_echoes(report, [question(number, QUESTION_BYTES) for number in range(questions)])
        equal(site.counted(target), questions, "requests at the backends")


@case(needs=("coalesce", "post-body"), fresh=True)
def questions_are_asked_again_when_the_backend_dies(site):
    """POST: only where the route says that it may be."""
    config = copy.deepcopy(site.proxy.config)
    next(route for route in config["routes"] if route["name"] == "ask")["replay_safe"] = True
    apply(site, config, "crowd.json")
    target = f"/ask/echo?ms={PATIENT_MS}&key=again"
    crowd = Crowd(site, target, questions=1, question_bytes=QUESTION_BYTES)
    crowd.wait_subscribed()
    site.backends[where(site, target)].kill()
    report = crowd.report()
    expect_all_complete(report, MEMBERS)
    expect_echoes(report, [question(0, QUESTION_BYTES)])
    equal(site.counted(target), 1, "requests at the backends that live")
