"""The endpoint for monitoring: /metrics agrees with what clients counted, /ready with a drain."""
import time

from case import case, equal, expect
from edge_site import URL4, wait_until

NEEDS = ("metrics",)


@case(needs=NEEDS)
def metrics_agree_with_what_the_clients_counted(site):
    before = site.proxy.metrics()
    report = site.h2load("-n", "5000", "-c", "8", "-m", "10", URL4 + "/")
    equal(report["succeeded"], 5000, "requests that succeeded")
    wait_until(lambda: site.proxy.metric("weir_request_finished_total") >=
               total(before, "weir_request_finished_total") + 5000, 10, "all to be counted")
    after = site.proxy.metrics()
    for name in ("weir_request_exchanges_total", "weir_request_answered_2xx_total",
                 "weir_request_finished_total", "weir_request_duration_seconds_count",
                 "weir_request_first_byte_seconds_count"):
        equal(total(after, name) - total(before, name), 5000, name)
    equal(total(after, "weir_request_connections_total") -
          total(before, "weir_request_connections_total"), 8, "connections")
    workers = {key for key in after if key.startswith("weir_worker_turns_total{")}
    equal(len(workers), site.workers, "workers with counters")


@case(needs=NEEDS)
def what_sharing_saves_is_measured(site):
    before = site.proxy.metrics()
    target = "/shared/slow?ms=1500&bytes=10000&key=saved"
    report = site.client(URL4 + target, count=50, connections=max(8, 4 * site.workers))
    equal(site.counted(target), 1, "requests at the backends")

    def grown(name):
        return site.proxy.metric(name) - total(before, name)

    wait_until(lambda: grown("weir_coalesce_subscribers_count") == 1, 10, "the flight to end")
    equal(grown("weir_coalesce_subscribers_sum"), 50, "subscribers of the flight")
    equal(grown("weir_coalesce_saved_total"), 49, "upstream requests saved")
    equal(grown("weir_request_saved_bytes_total"), report["content"] * 49 / 50, "upstream bytes saved")
    equal(grown("weir_coalesce_joined_before_head_total"), 49, "joins before the head")


@case(needs=NEEDS)
def regions_and_backends_are_there(site):
    metrics = site.proxy.metrics()
    for region in ("eu", "us"):
        equal(metrics[f'weir_region_active{{region="{region}"}}'], 1, f"{region} is active")
        equal(metrics[f'weir_region_usable_backends{{region="{region}"}}'], 2, f"{region}")
    equal(total(metrics, "weir_backend_usable"), 4, "usable backends")
    equal(metrics["weir_store_connected"], 1, "the store")


@case(needs=(*NEEDS, "tls"))
def the_end_of_the_first_certificate_is_there(site):
    ends = site.proxy.metrics()["weir_certificates_expire_seconds"]
    expect(time.time() < ends < time.time() + 3660 * 86400, f"a certificate ends at {ends}")
    equal(site.proxy.ctl("status")["certificates_expire_unix_ms"], ends * 1000, "in the status")


@case(needs=NEEDS)
def other_pages_are_not_there(site):
    equal(site.proxy.monitor("/")[0], 404, "status of /")
    equal(site.proxy.monitor("/ready")[0], 200, "status of /ready")


@case(needs=(*NEEDS, "drain"), fresh=True)
def a_node_that_drains_is_not_ready(site):
    hanging = site.client_in_background(URL4 + "/slow?ms=6000", "drained")
    wait_until(lambda: site.counted("/slow?ms=6000") == 1, 10, "a request under way")
    equal(site.proxy.monitor("/ready")[0], 200, "status of /ready before")
    site.proxy.process.signal(site.proxy.drain_signal)
    wait_until(lambda: site.proxy.monitor("/ready", check=False)[0] == 503, 5, "/ready to say no")
    expect("draining" in site.proxy.monitor("/ready")[1], "it does not say why")
    equal(site.report_of(hanging)["ok"], 1, "the request under way")
    equal(site.proxy.process.wait(40), 0, "exit status")


def total(metrics, name):
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name)
