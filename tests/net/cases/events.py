"""Event streams that are silent for long: comments keep them alive, events stay what they are."""
from case import all_ok, case, equal, expect
from edge_site import URL4, wait_until

NEEDS = ("keepalive",)
COMMENT = ":\n\n"


def events_of(report):
    """The events without comments; a comment inside an event would not be found at its edges."""
    parts = report["body"].split("\n\n")
    expect(parts.pop() == "", f"does not end with an event: {report['body']!r}")
    return [part for part in parts if part != ":"]


def whole(report, count):
    all_ok(report, 1)
    found = events_of(report)
    equal(len(found), count, f"events in {report['body']!r}")
    for number, event in enumerate(found):
        expect(event.startswith(f"id: {number}\ndata: ") and event.endswith(f"part {number}"),
               f"event {number} is {event!r}")
    return found


@case(needs=NEEDS)
def silence_between_events_is_filled_with_comments(site):
    report = site.client(URL4 + "/events/stream?chunks=2&interval_ms=3500&key=silent")
    whole(report, 2)
    expect(report["body"].count(COMMENT) >= 4, f"comments in {report['body']!r}")


@case(needs=NEEDS)
def events_are_not_cut_by_comments(site):
    report = site.client(URL4 + "/events/stream?chunks=2&interval_ms=100&split_ms=2500&key=split")
    whole(report, 2)
    expect(COMMENT not in report["body"].replace("\n\n" + COMMENT, "\n\n"),
           f"a comment elsewhere than between events: {report['body']!r}")


@case(needs=NEEDS)
def all_who_share_a_stream_get_the_same_events(site):
    target = "/events/stream?chunks=2&interval_ms=3000&key=shared"
    first = site.client_in_background(URL4 + target, "first", events=True)
    wait_until(lambda: "headers 0" in first.log(), 10, "the stream to begin")
    wait_until(lambda: site.counted(target) == 1, 10, "the request")
    late = site.client(URL4 + target)
    equal(whole(site.report_of(first), 2), whole(late, 2), "events of both")
    equal(site.counted(target), 1, "requests at the backends")
    expect(COMMENT in late["body"], f"no comments for who came late: {late['body']!r}")


@case(needs=NEEDS)
def without_the_key_streams_pass_unchanged(site):
    report = site.client(URL4 + "/shared/stream?chunks=2&interval_ms=2500")
    whole(report, 2)
    expect(COMMENT not in report["body"], "a comment that nobody asked for")
