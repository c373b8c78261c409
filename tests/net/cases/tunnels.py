"""Tunnels by extended CONNECT (RFC 8441), from client to backend and back."""
import json

from case import all_ok, case, equal, expect
from edge_site import PYTHON, SUPPORT, URL4, wait_until
from netlab import VIP4

NEEDS = ("tunnels",)


def tunnels(site, path, timeout_s=60, **options):
    argv = [PYTHON, f"{SUPPORT}/h2_tunnel.py", VIP4, path]
    for name, value in options.items():
        argv += ["--" + name.replace("_", "-"), value]
    done = site.lab.run("clients", argv, timeout_s=timeout_s)
    return json.loads(done.stdout)


def all_echoed(report, count):
    expect(report["announced"] == 1 and report["echoed"] == report["ended"] == count,
           f"not {count} whole echoes: {report}")


@case(needs=NEEDS)
def what_goes_into_a_tunnel_comes_back(site):
    all_echoed(tunnels(site, "/tunnel?key=small", count=50, bytes=100), 50)
    all_echoed(tunnels(site, "/tunnel?key=large", count=4, bytes=5_000_000), 4)
    equal(site.counted("/tunnel?key=small"), 50, "tunnels at the backends: none is shared")


@case(needs=NEEDS)
def messages_come_back_one_by_one(site):
    all_echoed(tunnels(site, "/tunnel", count=5, bytes=500, piece=10, pause_ms=20), 5)


@case(needs=NEEDS)
def a_backend_may_end_its_side_first(site):
    """The client goes on, and all it says arrives."""
    report = tunnels(site, "/tunnel?first=1", count=3, bytes=300_000)
    equal((report["statuses"], report["ended"]), ({"200": 3}, 3), "ended in good order")
    wait_until(lambda: site.counted("/tunnel received 300000") == 3, 10,
               "the backends to have read it all")
    equal(site.open_requests(), 0, "requests open at the backends")


@case(needs=NEEDS)
def a_silent_tunnel_ends_and_a_busy_one_does_not(site):
    """The route's idle_timeout is 6 s: nothing passes for so long, or 12 s long a byte now and then."""
    silent = tunnels(site, "/tunnel?key=silent", ends="nobody")
    equal((silent["echoed"], silent["resets"]), (1, {"8": 1}), "CANCEL after silence")
    wait_until(lambda: site.cancelled("/tunnel?key=silent"), 10, "the backend to hear of it")
    all_echoed(tunnels(site, "/tunnel?key=busy", bytes=12, piece=1, pause_ms=1000), 1)


@case(needs=NEEDS)
def a_route_that_names_no_protocol_refuses(site):
    refused = tunnels(site, "/shared/tunnel")
    equal(refused["statuses"], {"501": 1}, "statuses")
    equal(site.counted(), 0, "requests at the backends")


@case(needs=NEEDS, fresh=True)
def backends_that_announce_nothing_get_no_tunnel(site):
    for backend in site.backends.values():
        backend.ask("/set?connect=0")
        backend.goaway()
    wait_until(lambda: tunnels(site, "/tunnel")["statuses"] == {"502": 1}, 20,
               "connections that announce nothing")
    report = tunnels(site, "/tunnel", count=3)
    equal(report["statuses"], {"502": 3}, "statuses")
    expect("extended CONNECT" in report["text"], f"no reason in {report['text']!r}")
    all_ok(site.client(URL4 + "/", count=20), 20)
    for backend in site.backends.values():
        backend.ask("/set?connect=1")
        backend.goaway()
    wait_until(lambda: tunnels(site, "/tunnel")["echoed"] == 1, 20, "tunnels again")
