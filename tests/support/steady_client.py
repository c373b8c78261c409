#!/usr/bin/python3
"""A steady load for tests of failover: requests at a fixed rate, however the answers come.

    steady_client.py --target URL [--target URL ...] [--rate R] [--connections C] [--stream-every K]

Each target gets R requests a second over C connections that are made again when they are lost:
/slow?ms=20&bytes=900, and each K-th one /stream?chunks=10&interval_ms=100, of which the answer
takes a second. "ready" is printed when every target has answered once. SIGTERM ends it: what is
under way is waited for, then one JSON report is printed:

    {"targets": {URL: {"total", "ok", "failed", "begun", "refused", "reasons": {why: n},
                       "done": [[when it was sent, how long its headers took in ms], ...]}}}

`failed` are requests of which no part of an answer came, or that got 502, 503 or 504; `begun` were
cut after the headers; `refused` could not be sent, because nobody accepted the connection. `when`
is on the clock of all processes (monotonic, seconds).
"""
import argparse
import asyncio
import collections
import json
import os
import signal
import socket
import sys
import time
import urllib.parse

import h2.exceptions

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from h2_endpoint import Endpoint                                           # noqa: E402

QUICK, STREAM = "/slow?ms=20&bytes=900", "/stream?chunks=10&interval_ms=100"
CONNECT_S = 5
ANSWER_S = 30


class Exchange:
    def __init__(self):
        self.sent = time.monotonic()
        self.headers = None                  # when they came
        self.status = None
        self.end = asyncio.get_running_loop().create_future()

    def finish(self, problem=None):
        if not self.end.done():
            self.end.set_result(problem)


class Connection(Endpoint):
    def __init__(self):
        super().__init__()
        self.exchanges = {}
        self.draining = False

    def response_received(self, event):
        exchange = self.exchanges.get(event.stream_id)
        if exchange:
            exchange.headers = time.monotonic()
            exchange.status = dict(event.headers)[":status"]

    def stream_ended(self, event):
        exchange = self.exchanges.pop(event.stream_id, None)
        if exchange:
            exchange.finish()

    def stream_reset(self, event):
        exchange = self.exchanges.pop(event.stream_id, None)
        if exchange:
            exchange.finish(f"RST_STREAM({int(event.error_code)})")

    def goaway_received(self, event):
        self.draining = True

    def disconnected(self, error):
        for exchange in self.exchanges.values():
            exchange.finish(f"connection lost ({error or 'end of stream'})")
        self.exchanges.clear()

    async def request(self, exchange, authority, path):
        stream_id = self.h2.get_next_available_stream_id()
        self.exchanges[stream_id] = exchange
        self.h2.send_headers(stream_id, [(":method", "GET"), (":scheme", "http"),
                                         (":authority", authority), (":path", path)],
                             end_stream=True)
        self.flush()
        return await asyncio.wait_for(exchange.end, ANSWER_S)


class Target:
    """One node: its connections and what became of the requests."""

    def __init__(self, url, options):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.authority = parts.hostname, parts.port or 80, parts.netloc
        self.options = options
        self.connections = [None] * options.connections
        self.tasks = set()
        self.answered = asyncio.Event()
        self.count = self.ok = self.failed = self.begun = self.refused = 0
        self.reasons = collections.Counter()
        self.done = []

    async def connection(self, index):
        found = self.connections[index]
        if found is None or found.closed or found.draining:
            _, found = await asyncio.wait_for(asyncio.get_running_loop().create_connection(
                Connection, self.host, self.port, family=socket.AF_UNSPEC), CONNECT_S)
            self.connections[index] = found
        return found

    async def one(self, number):
        every = self.options.stream_every
        path = STREAM if every and number % every == every - 1 else QUICK
        try:
            connection = await self.connection(number % len(self.connections))
        except (OSError, asyncio.TimeoutError):
            self.refused += 1
            return
        exchange = Exchange()
        try:
            problem = await connection.request(exchange, self.authority, path)
        except asyncio.TimeoutError:
            problem = f"no end within {ANSWER_S} s"
        except h2.exceptions.ProtocolError as error:
            problem = repr(error)
        self.judge(exchange, problem)

    def judge(self, exchange, problem):
        if problem is None and exchange.status in ("502", "503", "504"):
            problem, exchange.headers = f"status {exchange.status}", None
        if exchange.headers is not None:
            self.done.append((round(exchange.sent, 3),
                              round(1000 * (exchange.headers - exchange.sent), 1)))
        if problem is None:
            self.ok += 1
            self.answered.set()
            return
        self.reasons[problem] += 1
        if exchange.headers is None:
            self.failed += 1
        else:
            self.begun += 1

    def send(self):
        task = asyncio.ensure_future(self.one(self.count))
        self.count += 1
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, stopped):
        """Keeps the rate on average; a late turn is made up for."""
        started = time.monotonic()
        while not stopped.is_set():
            while self.count < (time.monotonic() - started) * self.options.rate:
                self.send()
            await asyncio.sleep(1 / self.options.rate / 2)
        if self.tasks:
            await asyncio.wait(self.tasks)

    def report(self):
        return {"total": self.count, "ok": self.ok, "failed": self.failed, "begun": self.begun,
                "refused": self.refused, "reasons": self.reasons, "done": self.done}


async def run(options):
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    targets = {url: Target(url, options) for url in options.target}
    runs = [asyncio.ensure_future(target.run(stopped)) for target in targets.values()]
    for target in targets.values():
        await target.answered.wait()
    print("ready", flush=True)
    await asyncio.gather(*runs)
    print(json.dumps({"targets": {url: target.report() for url, target in targets.items()}}),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--rate", type=float, default=25)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--stream-every", type=int, default=20)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
