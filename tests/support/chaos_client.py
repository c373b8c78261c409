#!/usr/bin/python3
"""Many clients at once while things break: every answer is whole and the one asked for, or says
honestly that it is not.

    chaos_client.py URL --seed N --seconds S

Crews of CREWS ask for S seconds, each on connections of its own, and start them anew when they are
told to (GOAWAY). Prints one JSON report:

    {"crews": {name: {"whole": n, "refused": n (502, 503, 504), "cut": n (a reset), "left": n}},
     "wrong": [what no client may meet, the first ones], "wrong_count": n}

Wrong are: an answer that ended well and is another one, a status that nobody sent, a request that
did not end in time, a connection that was lost.
"""
import argparse
import asyncio
import collections
import json
import os
import random
import re
import socket
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bodies                                                              # noqa: E402
from h2_client import Client, Exchange                                     # noqa: E402

PATIENCE_S = 40            # longer than every time-out of the proxy's
CONNECT_S = 10
EVENTS = 8
EVENT = re.compile(r"id: (\d+)\ndata: (.*) part (\d+)\n\n")
COMMENT = re.compile(r"^:\n\n", re.MULTILINE)       # the proxy's, while nothing comes


def sized(base):
    """Bodies that both ends can compute; few enough that some are asked for at the same time."""
    def choose(chance):
        size, seed = chance.choice((200, 3000, 70_000, 400_000)), str(chance.randrange(4))
        return f"{base}bytes?n={size}&seed={seed}", bodies.digest(size, seed)
    return choose


def slow(base):
    return lambda chance: (f"{base}slow?ms={chance.choice((5, 50, 300))}&bytes=900", None)


def echo(base):
    return lambda chance: (f"{base}echo?ms={chance.choice((0, 20, 200))}", None)


def stream(base):
    return lambda chance: (f"{base}stream?chunks={EVENTS}&interval_ms={chance.choice((10, 60))}"
                           f"&n={chance.randrange(3)}", None)


def options(**changed):
    usual = {"method": "GET", "window": 4 << 20, "abort_after": None, "abort_how": "rst",
             "abort_upload": None, "read_delay_ms": 0, "body_size": None, "body_seed": "",
             "timeout": PATIENCE_S}
    return argparse.Namespace(**{**usual, **changed})


# name: (what is asked, how, connections, requests at once on each)
CREWS = {
    "pages": (sized("/"), options(), 3, 4),
    "shared": (sized("/shared/"), options(), 4, 4),
    "shared-slow": (slow("/shared/"), options(), 3, 5),
    "events": (stream("/events/"), options(), 3, 3),
    "uploads": (echo("/"), options(method="POST", body_size=50_000, body_seed="u"), 2, 3),
    "asked": (echo("/ask/"), options(method="POST", body_size=2000, body_seed="a"), 2, 4),
    "readers": (sized("/shared/"), options(window=20_000, read_delay_ms=30), 2, 3),
    "leavers": (sized("/shared/"), options(abort_after=100), 2, 4),
    "uploads-left": (echo("/"), options(method="POST", body_size=200_000, abort_upload=9000), 1, 2),
}


def wrong_events(text):
    """What is wrong with an event stream that ended well; None: nothing."""
    text = COMMENT.sub("", text)
    events = EVENT.findall(text)
    if len({name for _, name, _ in events}) != 1 or EVENT.sub("", text):
        return "events of several answers, or pieces of events"
    if [int(number) for number, _, _ in events] != list(range(EVENTS)):
        return f"{len(events)} of {EVENTS} events"
    return None


def wrong_content(how, path, digest, exchange):
    if digest is not None and exchange.state.hexdigest() != digest:
        return f"another body, {exchange.length} bytes"
    if how.body_size is not None:
        expected = bodies.digest(how.body_size, how.body_seed)
        if json.loads(exchange.kept)["sha256"] != expected:
            return "the backend got another body"
    return wrong_events(exchange.kept.decode()) if "/stream" in path else None


class Crew:
    def __init__(self, name, run):
        self.name, self.run = name, run
        self.choose, self.how, self.connections, self.at_once = CREWS[name]
        self.counts = collections.Counter()
        self.chance = random.Random(f"{run.seed} {name}")

    def count(self, path, digest, exchange):
        error = exchange.error
        if error is None and exchange.status == 200:
            wrong = wrong_content(self.how, path, digest, exchange)
            self.counts["whole"] += wrong is None
        elif error is None:
            wrong = None if exchange.status in (502, 503, 504) else f"status {exchange.status}"
            self.counts["refused"] += wrong is None
        elif "aborted by this client" in error:
            wrong = None
            self.counts["left"] += 1
        elif error.startswith("RST_STREAM") or "not processed" in error:
            wrong = None
            self.counts["cut"] += 1
        else:
            wrong = error
        if wrong:
            self.run.complain(f"{self.name} {path}: {wrong}")

    async def connect(self):
        _, client = await asyncio.wait_for(asyncio.get_running_loop().create_connection(
            lambda: Client(self.how, lambda line: None), self.run.host, self.run.port,
            family=socket.AF_INET), CONNECT_S)
        return client

    async def ask(self, client):
        path, digest = self.choose(self.chance)
        fields = [(":method", self.how.method), (":scheme", "http"),
                  (":authority", self.run.authority), (":path", path)]
        exchange = Exchange(0)
        await client.request(exchange, fields)
        self.count(path, digest, exchange)

    async def work(self, client):
        while not self.run.over() and not client.draining and not client.closed:
            await self.ask(client)

    async def connection(self):
        while not self.run.over():
            client = await self.connect()
            await asyncio.gather(*(self.work(client) for _ in range(self.at_once)))
            client.transport.close()

    async def go(self):
        await asyncio.gather(*(self.connection() for _ in range(self.connections)))


class Run:
    def __init__(self, url, seed, seconds):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.authority = parts.hostname, parts.port or 80, parts.netloc
        self.seed, self.end = seed, time.monotonic() + seconds
        self.wrong = []

    def over(self):
        return time.monotonic() > self.end

    def complain(self, text):
        self.wrong.append(f"{time.monotonic():.3f} {text}")

    async def go(self):
        crews = [Crew(name, self) for name in CREWS]
        await asyncio.gather(*(crew.go() for crew in crews))
        print(json.dumps({"crews": {crew.name: crew.counts for crew in crews},
                          "wrong": self.wrong[:20], "wrong_count": len(self.wrong)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options_ = parser.parse_args()
    asyncio.run(Run(options_.url, options_.seed, options_.seconds).go())


if __name__ == "__main__":
    sys.exit(main())
