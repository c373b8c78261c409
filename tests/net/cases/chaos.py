"""Everything behind Weir breaks at random while all kinds of clients work.

WEIR_CHAOS_SEED and WEIR_CHAOS_SECONDS: another story, a longer one.
"""
import json
import os
import random
import signal
import time

from case import all_ok, case, equal, expect
from edge_site import PYTHON, SUPPORT, URL4, last_report, wait_until
from netlab import BACKENDS, REGIONS

SEED = int(os.environ.get("WEIR_CHAOS_SEED", 1))
SECONDS = int(os.environ.get("WEIR_CHAOS_SECONDS", 25))


def kill(site, chance):
    site.backends[chance.choice(list(BACKENDS))].kill()


def kill_region(site, chance):
    for name in REGIONS[chance.choice(list(REGIONS))]:
        site.backends[name].kill()


def cut_region(site, chance):
    for name in REGIONS[chance.choice(list(REGIONS))]:
        site.lab.link(name, "down")


def pause(site, chance):
    backend = site.backends[chance.choice(list(BACKENDS))]
    if backend.process.alive():
        backend.process.signal(signal.SIGSTOP)
        time.sleep(chance.choice((0.1, 1.5)))
        backend.process.signal(signal.SIGCONT)


def goaway(site, chance):
    backend = site.backends[chance.choice(list(BACKENDS))]
    if backend.process.alive():
        backend.goaway()


def kill_redis(site, chance):
    site.redis.stop()


def apply_configuration(site, chance):
    site.proxy.ctl("config", "apply", os.path.join(site.lab.directory, "weir.json"))


def reopen_log(site, chance):
    site.proxy.rotate()


def mend(site, chance):
    """All that is down comes back. More often than anything else, so that there is service."""
    for name, backend in site.backends.items():
        site.lab.link(name, "up")
        backend.start()
    site.redis.start()


EVENTS = (kill, kill, kill_region, cut_region, pause, goaway, goaway, kill_redis,
          apply_configuration, reopen_log, mend, mend, mend, mend)


def break_things(site, client):
    """The story so far, for the report of a failure."""
    chance, story = random.Random(SEED), []
    while client.alive():
        event = chance.choice(EVENTS)
        story.append(f"{time.monotonic():.3f} {event.__name__}")
        event(site, chance)
        time.sleep(chance.uniform(0.05, 1.5))
    return story


@case(needs=("failover", "coalesce"), fresh=True, workers=(1, 2, 4), timeout_s=SECONDS + 150)
def whatever_breaks_no_answer_is_wrong(site):
    client = site.lab.spawn("clients", [
        PYTHON, os.path.join(SUPPORT, "chaos_client.py"), URL4, "--seed", SEED,
        "--seconds", SECONDS], "chaos")
    story = break_things(site, client)
    client.wait(60)
    report = last_report(client.log(), client.log_tail(5))
    expect(report["wrong_count"] == 0, "\n".join(report["wrong"] + story))
    crews = report["crews"]
    expect(all(crew.get("whole") or crew.get("left") for crew in crews.values()),
           f"a crew got nothing: {json.dumps(crews)}")
    mend(site, None)
    site.start_all()
    wait_until(lambda: site.client(URL4 + "/", count=1)["ok"] == 1, 60, "service to return")
    all_ok(site.client(URL4 + "/", count=100, connections=4), 100)
    wait_until(lambda: site.open_requests() == 0, 60, "the backends to be idle")
    equal(site.proxy.alive(), True, "alive")
    print(f"     {json.dumps(crews)}", flush=True)
