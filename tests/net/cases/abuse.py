"""Clients that break the rules or are a burden: they are shown the door, others notice nothing."""
import json
import os
import sys

from case import all_ok, case, expect
from edge_site import PYTHON, SUPPORT, URL4
from netlab import VIP4

sys.path.insert(0, SUPPORT)
from h2_abuse import BURDENS, VIOLATIONS                                   # noqa: E402

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


@case(timeout_s=300)
def others_are_served_while_somebody_is_a_burden(site):
    for burden in BURDENS:
        others = site.client_in_background(URL4 + "/", "others", count=300, connections=4,
                                           concurrency=4)
        attack(site, burden.__name__)
        expect(site.proxy.alive(), f"{burden.__name__} ended the proxy")
        all_ok(site.report_of(others, 60), 300)
    all_ok(site.client(URL4 + "/", count=100, connections=4), 100)


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
