"""Clients that break the rules or are a burden: they are shown the door, others notice nothing."""
import json
import os
import sys

from case import all_ok, case, expect
from edge_site import PYTHON, SUPPORT, URL4, wait_until
from netlab import VIP4

sys.path.insert(0, SUPPORT)
from h2_abuse import BURDENS, VIOLATIONS                                   # noqa: E402

MIB = 1 << 20

# The counter by which Weir tells of each.
TRIPS = {
    "rapid_reset": "reset_flood",
    "resets_made_by_us": "reset_flood",
    "continuation_flood": "continuation_flood",
    "ping_flood": "ping_flood",
    "settings_flood": "settings_flood",
    "empty_data_flood": "empty_data_flood",
    "padding_flood": "empty_data_flood",
    "priority_flood": "priority_flood",
    "priority_update_flood": "priority_flood",
    "window_update_flood": "window_update_flood",
    "unknown_frame_flood": "unknown_flood",
    "more_streams_than_allowed": "streams_exceeded",
    "hpack_bomb": "header_lists_too_large",
    "huge_headers": "header_block_too_large",
    "many_fields": "header_fields_too_many",
    "much_header_memory": "header_memory_exceeded",
    "a_window_that_never_opens": "stream_stalled",
    "much_asked_and_nothing_read": "connection_stalled",
    "a_trickled_header_block": "header_block_slow",
    "nothing_asked": "idle_closed",
}

PROGRAM = os.path.join(SUPPORT, "h2_abuse.py")


def attack(site, name):
    done = site.lab.run("clients", [PYTHON, PROGRAM, VIP4, name], timeout_s=60)
    return json.loads(done.stdout)


@case()
def whoever_breaks_the_protocol_is_disconnected(site):
    wrong = []
    for violation in VIOLATIONS:
        result = attack(site, violation.__name__)
        expect(site.proxy.alive(), f"{violation.__name__} ended the proxy")
        if not result["closed"] or result["goaway"] == 0:
            wrong.append(result)
    tolerated = getattr(site.proxy, "tolerates", ())
    wrong = [result for result in wrong if result["attack"] not in tolerated]
    expect(not wrong, "still connected, or sent away without an error:\n"
           + "\n".join(map(str, wrong)))
    all_ok(site.client(URL4 + "/", count=100, connections=4), 100)


def tripped(site, name):
    """How often what NAME does was answered; None: nobody counts it."""
    if name not in TRIPS or not hasattr(site.proxy, "ctl"):
        return None
    return site.proxy.ctl("stats", "h2.")["counters"][f"h2.{TRIPS[name]}"]["sum"]


@case(timeout_s=500)
def others_are_served_while_somebody_is_a_burden(site):
    for burden in BURDENS:
        others = site.client_in_background(URL4 + "/", "others", count=300, connections=4,
                                           concurrency=4)
        before = tripped(site, burden.__name__)
        result = attack(site, burden.__name__)
        expect(site.proxy.alive(), f"{burden.__name__} ended the proxy")
        expect(before is None or tripped(site, burden.__name__) > before,
               f"not counted as {TRIPS.get(burden.__name__)}: {result}")
        all_ok(site.report_of(others, 60), 300)
    all_ok(site.client(URL4 + "/", count=100, connections=4), 100)


def stats_of(site, name):
    return site.proxy.ctl("stats", name)["counters"][name]


@case(needs=("held-bytes",), timeout_s=150)
def what_is_held_for_a_client_that_reads_nothing_is_bounded(site):
    """The bound, and a window of 64 KiB for each of 100 streams, in segments of 4 KiB."""
    most = MIB + 100 * (65536 + 2 * 4096)
    for attack_name in ("much_asked_and_nothing_read", "a_window_that_never_opens"):
        paused = stats_of(site, "request.clients_paused")["sum"]
        attacker = site.lab.spawn("clients", [PYTHON, PROGRAM, VIP4, attack_name], attack_name)
        wait_until(lambda: stats_of(site, "request.clients_paused")["sum"] > paused, 20,
                   "the attacker to be paused")
        all_ok(site.client(URL4 + "/bytes?n=3000000&seed=b", count=10, connections=2,
                           expect_size=3_000_000, expect_seed="b"), 10)
        held = stats_of(site, "request.held_for_clients")["sum"]
        expect(MIB // 2 < held <= most, f"{attack_name}: {held} bytes held")
        objects = sum(worker["held_by_flights"]
                      for worker in site.proxy.ctl("worker", "list")["workers"])
        expect(objects * 4096 <= most + MIB, f"{objects} objects in use")
        wait_until(lambda: not attacker.alive(), 60, "the attacker to be sent away")
        wait_until(lambda: stats_of(site, "request.held_for_clients")["sum"] == 0, 20,
                   "its memory to come back")
    for worker in stats_of(site, "request.held_for_client_max")["workers"]:
        expect(worker <= most, f"{worker} bytes held for one connection")


@case(needs=("idle",))
def whoever_asks_nothing_is_sent_away_in_good_order(site):
    result = attack(site, "nothing_asked")
    expect(result["closed"] and result["goaway"] == 0, f"not GOAWAY(NO_ERROR): {result}")


@case(needs=("http2-only",))
def http1_is_told_in_http1_that_it_is_not_spoken(site):
    """Whatever the client sends meanwhile, it can read the answer."""
    upload = site.lab.path("upload")
    with open(upload, "wb") as file:
        file.write(b"x" * 3_000_000)
    for options in (["--http1.1"], ["--http1.0"], ["--http1.1", "-X", "OPTIONS"],
                    ["--http1.1", "-H", "Expect:", "--data-binary", f"@{upload}"]):
        done = site.lab.run("clients", ["curl", "-s", "-m", "10", "-w", "%{http_code}", *options,
                                        URL4 + "/"], check=False)
        expect(done.stdout.decode().endswith("505"), f"curl {options}: {done.stdout.decode()!r}")


@case(timeout_s=200)
def many_at_once_are_survived(site):
    """Ten attackers of the costly kinds together."""
    attackers = [site.lab.spawn("clients", [PYTHON, PROGRAM, VIP4, name], f"attacker-{number}")
                 for number, name in enumerate(("rapid_reset", "continuation_flood",
                                                "more_streams_than_allowed", "hpack_bomb",
                                                "empty_data_flood") * 2)]
    all_ok(site.client(URL4 + "/", count=500, connections=5, concurrency=5), 500)
    for attacker in attackers:
        attacker.wait(60)
    all_ok(site.client(URL4 + "/", count=100, connections=4), 100)
