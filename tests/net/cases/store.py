"""Redis comes and goes; requests do not depend on it."""
import signal

from case import all_ok, case, equal, expect
from edge_site import URL4, wait_until
from netlab import REGIONS

NEEDS = ("store",)


@case(needs=NEEDS, fresh=True)
def it_starts_and_serves_without_redis(site):
    site.proxy.stop()
    site.redis.stop()
    site.start_proxy()
    all_ok(site.client(URL4 + "/", count=200, connections=4), 200)
    site.redis.start()
    wait_until(lambda: site.proxy.store_connected(), 30, "the store to be found")
    wait_until(lambda: site.redis.cli("keys", "weir:*"), 30, "state to appear in Redis")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def redis_killed_and_restarted_under_load_fails_no_request(site):
    wait_until(lambda: site.proxy.store_connected(), 30, "the store to be found")
    load = site.h2load_in_background("load", "-n", "6000", "-c", "10", "-m", "10", "--rps=50",
                                     URL4 + "/")
    wait_until(lambda: site.counted() > 500, 30, "load to arrive")
    site.redis.stop()
    wait_until(lambda: not site.proxy.store_connected(), 30, "the loss to be shown")
    site.redis.start()
    wait_until(lambda: site.proxy.store_connected(), 30, "the store to be found again")
    wait_until(lambda: not load.alive(), 60, "h2load to end")
    expect(" 6000 succeeded, 0 failed" in load.log(), load.log())
    wait_until(lambda: site.redis.cli("keys", "weir:*"), 30, "state to appear in Redis again")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def a_redis_that_does_not_answer_does_not_stop_requests(site):
    wait_until(lambda: site.proxy.store_connected(), 30, "the store to be found")
    site.redis.process.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not site.proxy.store_connected(), 30, "the silence to be shown")
        all_ok(site.client(URL4 + "/", count=1000, connections=4, concurrency=10), 1000)
    finally:
        site.redis.process.signal(signal.SIGCONT)
    wait_until(lambda: site.proxy.store_connected(), 30, "the store to be found again")


def goes_to(site, region):
    other = "us" if region == "eu" else "eu"
    site.reset_counts()
    all_ok(site.client(URL4 + "/", count=100, connections=2, concurrency=10), 100)
    equal(site.counted(names=REGIONS[other]), 0, f"requests in {other}")


@case(needs=NEEDS, fresh=True, timeout_s=180)
def an_order_of_this_node_alone_holds_until_redis_is_back_and_is_offered_then(site):
    """Over a restart as well. The record says what was done, and from where it is told."""
    proxy = site.proxy
    wait_until(proxy.store_connected, 30, "the store to be found")
    goes_to(site, "eu")
    site.redis.stop()
    wait_until(lambda: not proxy.store_connected(), 30, "the loss to be shown")
    equal(proxy.ctl("audit", "tail")["source"], "node", "who tells, without Redis")
    proxy.ctl("region", "drain", "eu", "--local")
    equal(proxy.region("eu")["effective"], "drain", "eu, here")
    goes_to(site, "us")
    proxy.stop()
    site.start_proxy()
    goes_to(site, "us")
    site.redis.start()
    wait_until(lambda: proxy.region("eu").get("local", {}).get("offered"), 30, "the offer")
    expect("OFFERED drain" in proxy.ctl_text("region", "list"), "the offer is seen")
    goes_to(site, "eu")
    proxy.ctl("region", "approve", "eu", "--local")
    wait_until(lambda: proxy.region("eu")["override"] == "drain", 10, "the order for all nodes")
    expect("local" not in proxy.region("eu"), "nothing is offered any more")
    goes_to(site, "us")
    record = proxy.ctl("audit", "tail")
    equal(record["source"], "store", "who tells, with Redis")
    expect(any(entry["what"] == "drain" and entry["region"] == "eu"
               for entry in record["entries"]), f"{record}")
