"""SYN cookies with the kernel's TCP as client: nobody notices them, a flood hurts nobody."""
import contextlib
import copy
import json
import os

from case import all_ok, case, equal, expect
from edge_site import PYTHON, SUPPORT, URL4, URL6, wait_until
from growth import Growth
from netlab import VIP4, VIP6

MIB = 1 << 20
FLOOD = 20_000


@contextlib.contextmanager
def applied(site, **settings):
    """The proxy with these keys of `tcp`, and as before afterwards."""
    before = site.proxy.ctl("config", "get")["config"]
    changed = copy.deepcopy(before)
    changed["tcp"] = settings
    apply(site, changed)
    try:
        yield
    finally:
        if site.proxy.alive():
            apply(site, before)


def apply(site, config):
    path = os.path.join(site.lab.directory, "applied.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    site.proxy.ctl("config", "apply", path)


@case(needs=("cookies",))
def every_connection_may_come_by_a_cookie(site):
    with applied(site, syn_cookies="always"):
        grown = Growth(site, "tcp")
        for url in (URL4, URL6):
            site.curl(url + "/")
            load = site.h2load("-n", "400", "-c", "40", "-m", "5", url + "/")
            equal(load["succeeded"], 400, f"answers at {url}")
        expect(grown.cookies_accepted >= 82, f"{grown.cookies_accepted} cookies accepted")
        equal(grown.connections_accepted, grown.cookies_accepted, "connections, all by cookies")
        equal(grown.cookies_rejected + grown.cookies_expired + grown.cookies_shed, 0, "refusals")


@case(needs=("cookies",))
def bodies_of_all_sizes_are_exact_behind_cookies(site):
    with applied(site, syn_cookies="always"):
        grown = Growth(site, "tcp")
        for url in (URL4, URL6):
            for size in (1, 1460, 65536, MIB, 10 * MIB):
                all_ok(site.client(f"{url}/bytes?n={size}&seed={size}", expect_size=size,
                                   expect_seed=size), 1)
                all_ok(site.client(f"{url}/echo", method="POST", body_size=size, body_seed=size,
                                   check_upload=True), 1)
        expect(grown.cookies_accepted >= 20, f"{grown.cookies_accepted} cookies accepted")


@case(needs=("cookies",))
def clients_without_timestamps_do_without_scale_and_sack(site):
    timestamps = "/proc/sys/net/ipv4/tcp_timestamps"
    shell = ["sh", "-c"]
    site.lab.run("clients", [*shell, f"echo 0 > {timestamps}"])
    try:
        with applied(site, syn_cookies="always"):
            for url in (URL4, URL6):
                all_ok(site.client(f"{url}/bytes?n={MIB}&seed=t", expect_size=MIB,
                                   expect_seed="t"), 1)
                all_ok(site.client(f"{url}/echo", method="POST", body_size=MIB, body_seed="t",
                                   check_upload=True), 1)
    finally:
        site.lab.run("clients", [*shell, f"echo 1 > {timestamps}"])


@case(needs=("cookies",), fresh=True)
def a_flood_leaves_honest_clients_alone(site):
    """20,000 SYNs from sources that never answer, IPv4 and IPv6, while clients come and go."""
    for url in (URL4, URL6):
        site.curl(url + "/")                    # who is asked for link addresses knows them now
    with applied(site, syn_cookies="auto", backlog=64):
        grown = Growth(site, "tcp")
        floods = [site.lab.spawn("clients", [
            PYTHON, os.path.join(SUPPORT, "syn_flood.py"), "--interface", "eth0", "--target", vip,
            "--count", FLOOD // 2, "--rate", 2500], f"flood-{vip}") for vip in (VIP4, VIP6)]
        wait_until(lambda: grown.cookies_sent > 0, 20, "cookies")
        for url in (URL4, URL6):
            all_ok(site.client(url + "/", count=100, connections=50), 100)
            all_ok(site.client(f"{url}/bytes?n={MIB}&seed=f", count=5, connections=5,
                               expect_size=MIB, expect_seed="f"), 5)
        accepted = grown.cookies_accepted
        wait_until(lambda: not any(flood.alive() for flood in floods), 60, "the end of the flood")
        for flood in floods:
            expect("sent" in flood.log(), flood.log_tail())
        expect(accepted >= 10, f"{accepted} honest connections by cookies")
        expect(grown.cookies_sent >= FLOOD / 2, f"{grown.cookies_sent} cookies sent")
        equal(grown.half_open_full + grown.connection_pool_empty, 0, "SYNs that found no room")
        all_ok(site.client(URL4 + "/", count=50, connections=10), 50)
