"""What clients feel when a region fails: Weir's three nodes, and Weir, HAProxy and nginx one each.

`failover` are cases of tests/net (cases/cluster.py): three nodes, three Redis with Sentinels.
`failover-peers` is one proxy over two regions of two origins each. The region that carries is killed
(connections are refused) or falls silent (packets vanish) under a steady load: requests that failed,
and the longest that one waited. All probe each 0.5 s; the others' time-outs are 1 s, in proxies/.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import peers
from memif_site import BUILD, SiteError
from peers import BenchWeir, Haproxy, Nginx, Origin, PeerSite, raise_file_limit
from edge_site import PYTHON, SUPPORT, URL4         # found by the path that peers sets
from netlab import BACKENDS, REGIONS, wait_until
from results import Result

HERE = os.path.dirname(os.path.abspath(__file__))
NET = os.path.join(os.path.dirname(HERE), "net")
CASES = ("cluster.a_region_is_killed", "cluster.a_region_falls_silent")
TOLD = {"requests": "requests", "failed": "failed", "begun": "cut", "retries": "retries",
        "p99_ms": "p99 ms", "max_ms": "longest ms", "suspect_ms": "suspect ms", "down_ms": "down ms"}
RATE, BEFORE_S, AFTER_S = 100, 2, 10


def cluster(patterns):
    result = Result("failover", "Three nodes under a steady load while a region fails")
    with tempfile.TemporaryDirectory(prefix="weir-failover-") as room:
        path = os.path.join(room, "figures.json")
        argv = [sys.executable, os.path.join(NET, "run.py"), "--workers", "1", "--figures", path,
                *patterns]
        done = subprocess.run(argv, check=False, env={**os.environ, "WEIR_BUILD": BUILD},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise SiteError(f"cases failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["figures"]
    for row in rows:
        result.add(row["case"], {name: row.get(key) for key, name in TOLD.items()})
    return result


class RegionsWeir(BenchWeir):
    """As BenchWeir, with the second region, and probes as often as the others'."""

    def __init__(self, site, workers):
        super().__init__(site, workers)
        self.config["regions"].append({"name": "us"})
        for service in self.config["services"]:
            service["health"].update({"interval_up": "500ms", "interval_doubt": "200ms",
                                      "interval_down": "500ms", "rise": 2})
            service["regions"]["us"] = {"backends": [
                {"name": name, "address": BACKENDS[name][0], "port": peers.H2_PORT}
                for name in REGIONS["us"]]}


class RegionsHaproxy(Haproxy):
    file = "failover-haproxy.cfg"


class RegionsNginx(Nginx):
    file = "failover-nginx.conf"


PROXIES = {"weir": RegionsWeir, "haproxy": RegionsHaproxy, "nginx": RegionsNginx}


class RegionSite(PeerSite):
    def __init__(self, proxy_class):
        super().__init__(proxy_class)
        self.backends = {name: Origin(self.lab, name) for name in BACKENDS}

    def steady_load(self):
        """Small requests only: the origins cannot stream."""
        argv = [PYTHON, os.path.join(SUPPORT, "steady_client.py"), "--target", URL4,
                "--rate", RATE, "--connections", 4, "--stream-every", 10**9]
        load = self.lab.spawn("clients", argv, "steady")
        wait_until(lambda: "ready" in load.log() or not load.alive(), 30, "the load to begin")
        return load

    def carrier(self):
        """The region that has the requests: the first one, with all of these proxies."""
        return REGIONS["eu"]


def kill(site, names):
    for name in names:
        for process in (site.backends[name].process, site.backends[name].plain):
            process.kill()


def silence(site, names):
    for name in names:
        site.lab.link(name, "down")


def felt(load, event_s):
    """The steady client's report of all requests from the event on."""
    load.signal(signal.SIGTERM)
    load.wait(60)
    target = json.loads(load.log().splitlines()[-1])["targets"][URL4]
    waits = sorted(took for sent, took in target["done"] if sent >= event_s)
    return {"requests": target["total"], "failed": target["failed"] + target["refused"],
            "cut": target["begun"], "p50 ms": waits[len(waits) // 2],
            "p99 ms": waits[len(waits) * 99 // 100], "longest ms": waits[-1]}


def one(name, happen):
    with RegionSite(PROXIES[name]) as site:
        load = site.steady_load()
        time.sleep(BEFORE_S)
        event_s = time.monotonic()
        happen(site, site.carrier())
        time.sleep(AFTER_S)
        return felt(load, event_s)


def beside_peers(options):
    result = Result("failover-peers", f"One proxy, {RATE} requests a second; the region that carries fails")
    raise_file_limit()
    for case, happen in (("killed", kill), ("silent", silence)):
        for name in options.proxy or PROXIES:
            if name in PROXIES:
                result.add(f"{case}: {name}", one(name, happen))
    return result


def failover(options):
    return [cluster(options.case or CASES), beside_peers(options)]
