"""The proxy itself is not run for a while: it blames nobody for what it has missed."""
import signal
import time

from case import case, expect
from edge_site import URL4, wait_until
from growth import Growth
from netlab import REGIONS

NEEDS = ("failover",)
REQUESTS = 10_000


def pause(site, seconds):
    site.proxy.process.signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        site.proxy.process.signal(signal.SIGCONT)


def regions(site):
    return {name: [site.proxy.region(name)[key] for key in ("automatic", "since_unix_ms", "epoch")]
            for name in REGIONS}


def pauses_do_no_harm(site, pauses):
    before, growth = regions(site), Growth(site)
    load = site.h2load_in_background("load", "-n", str(REQUESTS), "-c", "4", "-m", "20", URL4 + "/")
    wait_until(lambda: site.counted("/") > REQUESTS // 20, 30, "load to arrive")
    for seconds in pauses:
        pause(site, seconds)
        seen = site.counted("/")
        wait_until(lambda seen=seen: not load.alive() or site.counted("/") > seen, 10,
                   "requests to go on")
    wait_until(lambda: not load.alive(), 60 * site.slowness(), "h2load to end")
    told = growth.reasons()
    expect(f" {REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in load.log(),
           load.log() + told)
    expect(site.counted("/") == REQUESTS,
           f"{site.counted('/')} requests at the backends, {REQUESTS} asked; counted:{told}")
    expect(growth.all().get("worker.gaps", 0) > 0, f"no gap was noticed:{told}")
    expect(regions(site) == before, f"regions: {regions(site)}, before {before}")


@case(needs=NEEDS)
def three_seconds_under_load_change_nothing(site):
    pauses_do_no_harm(site, [3])


@case(needs=NEEDS)
def short_pauses_under_load_repeat_no_request(site):
    pauses_do_no_harm(site, [0.2, 0.3, 0.5, 0.3])
