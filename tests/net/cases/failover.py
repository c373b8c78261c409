"""Backends and regions die under load: nobody notices, traffic moves, and comes back."""
from case import case, equal, expect
from edge_site import URL4, wait_until
from netlab import REGIONS

NEEDS = ("failover",)
REQUESTS = 4000
LOAD = ("-n", str(REQUESTS), "-c", "10", "-m", "10", "--rps=50", URL4 + "/slow?ms=50&bytes=900")      # some in flight at any time


def start_load(site):
    load = site.h2load_in_background("load", *LOAD)
    wait_until(lambda: site.counted() > REQUESTS // 10, 30, "load to arrive")
    return load


def nothing_failed(load):
    wait_until(lambda: not load.alive(), 90, "h2load to end")
    expect(f" {REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in load.log()
           and f"status codes: {REQUESTS} 2xx" in load.log(), load.log())


def came_back(site, region):
    """The region takes requests again. A trickle of load is what finds out."""
    site.reset_counts()

    def visited():
        site.curl(URL4 + "/", check=False)
        return site.counted(names=REGIONS[region]) > 0
    wait_until(visited, 60 * site.slowness(), f"{region} to get traffic again")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def the_first_region_gets_the_traffic_while_it_is_up(site):
    site.client(URL4 + "/", count=200, connections=4)
    equal(site.counted(names=REGIONS["us"]), 0, "requests in us")
    expect(all(site.counted(names=[name]) > 0 for name in REGIONS["eu"]), "both of eu work")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def one_backend_dies_under_load(site):
    load = start_load(site)
    site.backends["eu-1"].kill()
    nothing_failed(load)
    equal(site.counted(names=REGIONS["us"]) < REQUESTS // 2, True, "most traffic stays in eu")


@case(needs=NEEDS, fresh=True, timeout_s=240)
def a_region_killed_under_load_fails_no_request_and_comes_back(site):
    load = start_load(site)
    for name in REGIONS["eu"]:
        site.backends[name].kill()
    nothing_failed(load)
    expect(site.counted(names=REGIONS["us"]) > REQUESTS // 4, "us took the traffic over")
    wait_until(lambda: not site.proxy.region("eu")["active"], 30, "eu to be shown as not active")
    for name in REGIONS["eu"]:
        site.backends[name].start()
    for name in REGIONS["eu"]:
        site.backends[name].wait_ready()
    came_back(site, "eu")


@case(needs=NEEDS, fresh=True, timeout_s=240)
def a_region_that_falls_silent_under_load_fails_no_request(site):
    """The cables are cut: no FIN, no RST, nothing."""
    load = start_load(site)
    for name in REGIONS["eu"]:
        site.lab.link(name, "down")
    nothing_failed(load)
    for name in REGIONS["eu"]:
        site.lab.link(name, "up")
    came_back(site, "eu")


def honest(report, total):
    answered = sum(report["statuses"].get(status, 0) for status in ("502", "503"))
    equal(answered, total, f"answers that are 502 or 503: {report['statuses']}")


@case(needs=NEEDS, fresh=True, timeout_s=120)
def no_backend_at_all_is_an_honest_503_and_mends_itself(site):
    for backend in site.backends.values():
        backend.kill()
    # Connects that fail are 502; from when health has noticed it is 503, without trying.
    report = site.client(URL4 + "/", count=20, connections=2)
    honest(report, 20)

    def unavailable():
        report = site.client(URL4 + "/", count=5)
        honest(report, 5)
        return report["statuses"] == {"503": 5} and "retry-after" in dict(report["headers"])
    wait_until(unavailable, 30 * site.slowness(), "503 with retry-after")
    for backend in site.backends.values():
        backend.start()
    wait_until(lambda: site.curl(URL4 + "/", check=False).returncode == 0, 30, "a page again")


@case(needs=NEEDS, fresh=True, timeout_s=120)
def an_unhealthy_backend_gets_no_requests(site):
    site.backends["eu-1"].ask("/set?health=503")
    wait_until(lambda: not site.proxy.backend("eu-1")["usable"], 30, "eu-1 to be found unhealthy")
    site.reset_counts()
    site.client(URL4 + "/", count=200, connections=4)
    equal(site.counted(names=["eu-1"]), 0, "requests at the unhealthy backend")
    site.backends["eu-1"].ask("/set?health=200")
    wait_until(lambda: site.proxy.backend("eu-1")["usable"], 60, "eu-1 to be found healthy")


@case(needs=NEEDS, fresh=True, timeout_s=120)
def an_operator_drains_a_region_and_takes_it_back(site):
    site.proxy.ctl("region", "drain", "eu")
    wait_until(lambda: not site.proxy.region("eu")["active"], 10, "eu to be drained")
    site.reset_counts()
    site.client(URL4 + "/", count=200, connections=4)
    equal(site.counted(names=REGIONS["eu"]), 0, "requests in the drained region")
    site.proxy.ctl("region", "undrain", "eu")
    came_back(site, "eu")
