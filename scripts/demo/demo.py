#!/usr/bin/python3
"""The demonstration behind scripts/quickstart. It looks at Weir from outside only: what clients
get, what backends count, what weirctl and Redis say."""
import argparse
import importlib
import os
import signal
import sys
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TREE, "tests", "net"))
from edge_site import PYTHON, SUPPORT, URL4, URL6, Site, tls_directory     # noqa: E402
from netlab import HOST4, REGIONS, LabError, wait_until                    # noqa: E402

DIRECTORY = "/run/weir-demo"
PREFIX = os.environ.get("WEIR_LAB", "weir")
LOAD_TARGET = "/slow?ms=50&bytes=900"                          # always some in flight
LOAD_REQUESTS, LOAD_CLIENTS, LOAD_RPS = 9600, 16, 50          # 800 a second for 12 seconds

PICTURE = """
                        front +----------------+ back
   clients ------------------ |  edge: Weir    | --------- region eu: eu-1, eu-2
   curl, nghttp, h2load       |  on AF_XDP     | --------- region us: us-1, us-2
                              +----------------+
   10.0.0.80 and fd00:a::80 are Weir's. 10.0.0.2, on the same interface, is the host's own.
"""


class Unseen(Exception):
    """What was to be shown did not happen."""


def say(text=""):
    print(text, flush=True)


def show(command, output, lines=6):
    """A command as one would type it, and the beginning of what it said."""
    say(f"    $ {command}")
    kept = [line for line in output.splitlines() if line.strip()]
    for line in kept[:lines]:
        say(f"      {line[:100]}")
    if len(kept) > lines:
        say(f"      ... ({len(kept) - lines} more lines)")


def require(condition, what):
    if not condition:
        raise Unseen(what)


class Demo:
    def __init__(self, site):
        self.site = site
        self.session = None
        self.results = []

    def step(self, letter, title, action):
        say()
        say(f"({letter}) {title}")
        started = time.monotonic()
        try:
            verdict = action()
            seen = True
        except (Unseen, LabError) as problem:
            verdict, seen = str(problem), False
        seconds = time.monotonic() - started
        say(f"    {'Seen' if seen else 'NOT SEEN'}: {verdict}  [{seconds:.1f} s]")
        self.results.append(seen)

    def all(self):
        self.begin_session()
        self.step("a", "A page, over HTTP/2, over IPv4 and IPv6, and with TLS", self.pages)
        self.step("b", "200 identical requests at once, for a page that takes 500 ms", self.flight)
        self.step("c", "Region eu dies under load", self.region_dies)
        self.step("d", "Region eu comes back", self.region_returns)
        self.step("e", "Meanwhile: a session with the host's own address", self.end_session)
        return all(self.results)

    # (a)
    def pages(self):
        for url in (URL4, URL6):
            page = self.site.curl(url + "/").stdout.decode()
            show(f"curl --http2-prior-knowledge {url}/", page)
            require(" answer " in page, "curl got something else than the page")
        self.page_over_tls()
        done = self.site.lab.run("clients", ["nghttp", "-v", URL4 + "/"]).stdout.decode()
        lines = [line for line in done.splitlines() if "recv (" in line]
        show(f"nghttp -v {URL4}/", "\n".join(lines))
        require(":status: 200" in done, "nghttp got no 200")
        return "curl and nghttp have their pages"

    def page_over_tls(self):
        """By an authority of the demonstration's own (tests/support/certificates.py)."""
        url = URL4.replace("http:", "https:") + "/"
        argv = ["curl", "-sS", "-f", "-v", "--http2", "--cacert",
                os.path.join(tls_directory(self.site.lab), "ca.pem"), url]
        done = self.site.lab.run("clients", argv)
        spoken = [line for line in done.stderr.decode().splitlines()
                  if "SSL connection using" in line or "ALPN" in line]
        page = done.stdout.decode()
        show(" ".join(argv), "\n".join([page, *spoken]))
        require(" answer " in page, "curl got something else than the page over TLS")

    # (b)
    def flight(self):
        self.site.reset_counts()
        target = f"/shared/slow?ms=500&bytes=20000&run={time.time_ns()}"
        report = self.site.client(URL4 + target, count=200, connections=20)
        arrived = self.site.counted(target)
        say(f"    200 requests on 20 connections, all within {report['seconds'] * 1000:.0f} ms")
        say(f"    answers: {report['ok']} good ones, {len(report['bodies'])} different "
            f"(SHA-256 {', '.join(digest[:12] for digest in list(report['bodies'])[:3])})")
        say(f"    requests counted at the backends: {arrived}")
        require(report["ok"] == 200, f"{report['failed']} requests failed: {report['errors']}")
        require(len(report["bodies"]) == 1, "the answers differ")
        require(arrived == 1, f"{arrived} requests at the backends")
        return "one request at the backends, 200 byte-identical answers"

    # (c)
    def region_dies(self):
        self.site.reset_counts()
        arguments = ["-n", str(LOAD_REQUESTS), "-c", str(LOAD_CLIENTS), "-m", "10",
                     f"--rps={LOAD_RPS}", URL4 + LOAD_TARGET]
        load = self.site.h2load_in_background("h2load", *arguments)
        say(f"    $ h2load {' '.join(arguments)}")
        say("      requests so far:      eu      us")
        before = {"eu": 0, "us": 0}
        killed = False
        while load.alive():
            if not killed and before["eu"] > LOAD_REQUESTS // 5:
                for name in REGIONS["eu"]:
                    self.site.backends[name].kill()
                killed = True
                say("      kill -9 of eu-1 and eu-2")
            time.sleep(1)
            for region, names in REGIONS.items():
                if region != "eu" or not killed:
                    before[region] = self.site.counted(names=names)
            say(f"                      {before['eu']:>8}{before['us']:>8}"
                f"{'   (eu is dead)' if killed else ''}")
        lines = [line for line in load.log().splitlines()
                 if line.startswith(("finished", "requests:", "status"))]
        for line in lines:
            say(f"      {line}")
        require(killed, "the load ended before the region could be killed")
        require(f" {LOAD_REQUESTS} succeeded, 0 failed" in load.log(), "requests failed")
        require(f"status codes: {LOAD_REQUESTS} 2xx" in load.log(), "answers other than 2xx")
        require(before["us"] > LOAD_REQUESTS // 4, "the traffic did not move to us")
        self.state_is_shown()
        return f"{LOAD_REQUESTS} requests, 0 failed; weirctl and Redis say that eu is down"

    def state_is_shown(self):
        proxy = self.site.proxy
        require("failover" in proxy.features, f"{proxy.name} has no regions")
        wait_until(lambda: not proxy.region("eu")["active"], 30, "weirctl to show eu as not active")
        wait_until(lambda: proxy.region_in_redis("eu") == "down", 10, "Redis to show eu as down")
        show("weirctl region list", proxy.ctl_text("region", "list"), 8)
        show(f"redis-cli hgetall {proxy.state_key}", proxy.redis_text(), 12)

    # (d)
    def region_returns(self):
        for name in REGIONS["eu"]:
            self.site.backends[name].start()
        say("    eu-1 and eu-2 are started again; a request every few milliseconds goes on")
        for name in REGIONS["eu"]:
            self.site.backends[name].wait_ready()
        self.site.reset_counts()
        started = time.monotonic()
        said = None

        def visited():
            self.site.client(URL4 + "/", count=20)
            return self.site.counted("/", REGIONS["eu"]) > 0

        while not visited():
            require(time.monotonic() - started < 60, "no traffic in eu after 60 s")
            state = self.site.proxy.region("eu")["automatic"]
            if state != said:
                say(f"      {time.monotonic() - started:4.0f} s   eu is {state}")
                said = state
        return f"eu has traffic again after {time.monotonic() - started:.0f} s"

    # (e)
    def begin_session(self):
        program = os.path.join(SUPPORT, "host_session.py")
        service = self.site.lab.spawn("edge", [PYTHON, program, "serve"], "host-service")
        wait_until(lambda: "ready" in service.log(), 10, "the host's own service")
        self.session = self.site.lab.spawn("clients", [PYTHON, program, "talk", HOST4],
                                           "host-session")

    def end_session(self):
        self.session.signal(signal.SIGTERM)
        report = self.site.report_of(self.session, 10)
        say(f"    one TCP connection to {HOST4}:22 since the beginning: {report['answered']} lines, "
            f"{report['lost']} lost, slowest {report.get('slowest_ms', 0):.0f} ms")
        require(report["lost"] == 0 and report["answered"] > 0, "the session was disturbed")
        return "the kernel kept what is the kernel's"


def try_next(site):
    inside = f"ip netns exec {PREFIX}"
    say(f"""
It stays up; Ctrl-C ends it. In another terminal (as root), try:

  {inside}-clients curl --http2-prior-knowledge {URL4}/
  {inside}-clients h2load -n 20000 -c 10 -m 10 {URL4}/
  {inside}-clients curl --http2-prior-knowledge '{URL4}/shared/stream?chunks=20&interval_ms=300'
                                    (in two terminals: one request at the backends)
  {inside}-edge {site.proxy.ctl_command()} status
  {inside}-edge {site.proxy.ctl_command()} region list
  {inside}-edge {site.proxy.ctl_command()} region drain eu

Configuration: scripts/demo/weir.json. Logs: {site.lab.directory}/*.log""")


def stay(site):
    stopped = []
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stopped.append(True))
    while not stopped:
        if not site.proxy.alive():
            say(f"{site.proxy.name} ended:\n{site.proxy.process.log_tail()}")
            return False
        time.sleep(0.2)
    say("\nCleaning up.")
    return True


def give_hugepages_back():
    """scripts/lib/hugepages.sh reserved some, and says what was there before."""
    before = os.environ.get("WEIR_HUGEPAGES_BEFORE")
    if before:
        with open("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "w",
                  encoding="ascii") as file:
            file.write(before)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/quickstart")
    parser.add_argument("--once", action="store_true", help="show, verify, clean up, exit 0 or 1")
    parser.add_argument("--proxy", choices=("weir", "nghttpx"), default="weir",
                        help="nghttpx: what the same site does without Weir")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    proxy = getattr(importlib.import_module(options.proxy), options.proxy.capitalize())
    say(PICTURE.strip("\n"))
    try:
        with Site(proxy, workers=2, prefix=PREFIX, directory=DIRECTORY) as site:
            demo = Demo(site)
            seen = demo.all()
            say()
            say("All five were seen." if seen else "Not everything was seen.")
            if not seen:
                say(f"\nThe last words of {site.proxy.name}:\n{site.proxy.process.log_tail(15)}")
            if not options.once:
                try_next(site)
                seen = stay(site) and seen
    except LabError as problem:
        say(f"The site did not start: {problem}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; everything is cleaned up.")
        return 130
    finally:
        give_hugepages_back()
    return 0 if seen else 1


if __name__ == "__main__":
    sys.exit(main())
