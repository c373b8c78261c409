#!/usr/bin/python3
"""A client for tests: many HTTP/2 requests at once, every answer checked, one JSON report.

    h2_client.py URL [--count N] [--connections C] [--concurrency M] ...

All connections are opened first and the first requests of all of them leave together. {i} in the
URL becomes the number of the request. The report (one line on standard output):

    {"total", "ok", "failed", "statuses": {status: n}, "bodies": {sha256: n}, "bytes", "content",
     "backends": {x-backend: n}, "resets": {code: n}, "goaways": n, "errors": [first few],
     "headers": [of the first answer], "trailers": [...], "body": its text if short, "seconds"}

`ok` counts answers with the expected status that ended well, with a content-length that matches and
the expected digest. With --expect-abort `ok` counts requests that were cut short, and nothing else;
with --or-error also those answered by 502, 503 or 504. `content` are bytes of answers below 500.
With --events every step is printed as a line ("sent 1", "headers 1", "goaway", "end 1") as it happens.
Exit status 0 if every request was ok.
"""
import argparse
import asyncio
import collections
import hashlib
import json
import os
import socket
import ssl
import sys
import time
import urllib.parse

import h2.exceptions

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bodies                                                              # noqa: E402
from h2_endpoint import Endpoint, StreamGone                               # noqa: E402

KEPT_BODY = 65536


class Exchange:
    """One request and what came back."""

    def __init__(self, number):
        self.number = number
        self.status = None
        self.headers = []
        self.trailers = []
        self.interim = []
        self.length = 0
        self.state = hashlib.sha256()
        self.kept = b""
        self.error = None
        self.reset_code = None
        self.done = asyncio.get_running_loop().create_future()

    def finish(self, error=None):
        if not self.done.done():
            self.error = error
            self.done.set_result(None)

    def field(self, name):
        return dict(self.headers).get(name)


class Client(Endpoint):
    """One connection."""

    client_side = True

    def __init__(self, options, say):
        super().__init__(stream_window=options.window)
        self.options, self.say = options, say
        self.exchanges = {}
        self.goaways = 0
        self.draining = False

    def response_received(self, event):
        exchange = self.exchanges.get(event.stream_id)
        if exchange:
            exchange.headers = event.headers
            exchange.status = int(exchange.field(":status"))
            self.say(f"headers {exchange.number}")

    def informational_received(self, event):
        exchange = self.exchanges.get(event.stream_id)
        if exchange:
            exchange.interim.append(event.headers)

    def piece_received(self, event):
        exchange = self.exchanges.get(event.stream_id)
        credit = event.flow_controlled_length
        if exchange is None:
            self.acknowledge(event.stream_id, credit)
            return
        exchange.length += len(event.data)
        exchange.state.update(event.data)
        if len(exchange.kept) < KEPT_BODY:
            exchange.kept += event.data
        limit = self.options.abort_after
        if limit is not None and exchange.length >= limit:
            self.acknowledge(event.stream_id, credit)      # the connection goes on
            if not exchange.done.done():
                self.abort(event.stream_id, exchange)
        elif self.options.read_delay_ms:
            asyncio.get_running_loop().call_later(
                self.options.read_delay_ms / 1000, self.late_credit, event.stream_id, credit)
        else:
            self.acknowledge(event.stream_id, credit)

    def late_credit(self, stream_id, credit):
        if not self.closed:
            self.acknowledge(stream_id, credit)
            self.flush()

    def abort(self, stream_id, exchange):
        if self.options.abort_how == "close":
            self.transport.abort()
        else:
            self.reset(stream_id)
        exchange.finish("aborted by this client")

    def trailers_received(self, event):
        exchange = self.exchanges.get(event.stream_id)
        if exchange:
            exchange.trailers = event.headers

    def stream_ended(self, event):
        exchange = self.exchanges.pop(event.stream_id, None)
        if exchange:
            declared = exchange.field("content-length")
            short = (declared is not None and int(declared) != exchange.length
                     and self.options.method != "HEAD")
            exchange.finish(f"content-length {declared}, got {exchange.length}" if short else None)
            self.say(f"end {exchange.number}")

    def stream_reset(self, event):
        exchange = self.exchanges.pop(event.stream_id, None)
        if exchange:
            exchange.reset_code = int(event.error_code)
            exchange.finish(f"RST_STREAM({exchange.reset_code})")
            self.say(f"reset {exchange.number}")

    def goaway_received(self, event):
        self.goaways += 1
        self.draining = True
        self.say("goaway")
        for stream_id, exchange in list(self.exchanges.items()):
            if event.last_stream_id is not None and stream_id > event.last_stream_id:
                del self.exchanges[stream_id]
                exchange.finish("not processed (GOAWAY)")

    def protocol_error(self, error):
        self.fail_all(f"peer broke the protocol: {error!r}")

    def disconnected(self, error):
        self.say("closed")
        self.fail_all(f"connection closed ({error or 'end of stream'})")

    def fail_all(self, why):
        for exchange in self.exchanges.values():
            exchange.finish(why)
        self.exchanges.clear()

    async def request(self, exchange, fields):
        """Sends one request and returns when it has ended in whatever way."""
        if self.closed or self.draining:
            exchange.finish("connection is closed" if self.closed else "connection is draining")
            return
        options = self.options
        stream_id = self.h2.get_next_available_stream_id()
        self.exchanges[stream_id] = exchange
        try:
            self.h2.send_headers(stream_id, fields, end_stream=options.body_size is None)
        except h2.exceptions.ProtocolError as error:
            self.exchanges.pop(stream_id, None)
            exchange.finish(f"cannot send: {error}")
            return
        self.flush()
        self.say(f"sent {exchange.number}")
        if options.abort_after == 0:
            self.abort(stream_id, exchange)
        elif options.body_size is not None:
            await self.upload(stream_id, exchange)
        try:
            await asyncio.wait_for(asyncio.shield(exchange.done), options.timeout)
        except asyncio.TimeoutError:
            self.exchanges.pop(stream_id, None)
            self.reset(stream_id)
            exchange.finish(f"no end within {options.timeout:g} s ({exchange.length} bytes)")

    async def upload(self, stream_id, exchange):
        options, sent = self.options, 0
        try:
            for piece in bodies.pieces(options.body_size, options.body_seed):
                if options.abort_upload is not None and sent >= options.abort_upload:
                    self.abort(stream_id, exchange)
                    return
                await self.send_piece(stream_id, piece)
                sent += len(piece)
            await self.send_piece(stream_id, b"", end=True)
        except StreamGone:
            pass          # the answer, or the reason, is in the exchange


class Report:
    def __init__(self, options):
        self.options = options
        self.total = self.ok = self.bytes = self.content = 0
        self.statuses, self.bodies = collections.Counter(), collections.Counter()
        self.backends, self.resets = collections.Counter(), collections.Counter()
        self.errors = []
        self.first = None

    def judge(self, exchange):
        """None if the exchange is what was asked for, else what is wrong with it."""
        options = self.options
        if options.expect_abort:
            honest = exchange.error or (options.or_error and exchange.status in (502, 503, 504))
            return None if honest else f"not aborted: status {exchange.status}"
        if exchange.error:
            return exchange.error
        if exchange.status != options.expect_status:
            return f"status {exchange.status}"
        digest = exchange.state.hexdigest()
        if options.expect_size is not None:
            if digest != bodies.digest(options.expect_size, options.expect_seed):
                return f"wrong body: {exchange.length} bytes, {options.expect_size} expected"
        if options.check_upload:
            answer = json.loads(exchange.kept)
            if answer["sha256"] != bodies.digest(options.body_size, options.body_seed):
                return f"backend got another body: {answer}"
        return None

    def add(self, exchange):
        self.total += 1
        self.bytes += exchange.length
        if exchange.status is not None and exchange.status < 500:
            self.content += exchange.length
        if exchange.status is not None:
            self.statuses[exchange.status] += 1
            self.backends[exchange.field("x-backend") or "-"] += 1
        if exchange.reset_code is not None:
            self.resets[exchange.reset_code] += 1
        problem = self.judge(exchange)
        if problem is None:
            self.ok += 1
            self.bodies[exchange.state.hexdigest()] += 1
        elif len(self.errors) < 5:
            self.errors.append(f"request {exchange.number}: {problem}")
        if self.first is None or exchange.number == 0:
            self.first = exchange

    def text(self, seconds, goaways):
        first = self.first
        return json.dumps({
            "total": self.total, "ok": self.ok, "failed": self.total - self.ok,
            "statuses": self.statuses, "bodies": self.bodies, "bytes": self.bytes,
            "content": self.content, "backends": self.backends, "resets": self.resets,
            "goaways": goaways, "errors": self.errors, "headers": first.headers if first else [],
            "interim": first.interim if first else [],
            "trailers": first.trailers if first else [],
            "body": first.kept.decode(errors="replace") if first and first.length <= KEPT_BODY
                    else None,
            "seconds": round(seconds, 3)})


class Run:
    """All connections and all requests of one call."""

    def __init__(self, options):
        self.options = options
        self.report = Report(options)
        self.next = 0
        self.tls = None                  # for https: with this authority, and h2 by ALPN
        if options.ca:
            self.tls = ssl.create_default_context(cafile=options.ca)
            self.tls.set_alpn_protocols(["h2"])

    def say(self, line):
        if self.options.events:
            print(line, flush=True)

    def fields(self, number):
        parts = urllib.parse.urlsplit(self.options.url.replace("{i}", str(number)))
        target = parts.path or "/"
        if parts.query:
            target += "?" + parts.query
        fields = [(":method", self.options.method), (":scheme", parts.scheme),
                  (":authority", self.options.authority or parts.netloc), (":path", target)]
        if self.options.body_size is not None and self.options.declare_length:
            fields.append(("content-length", str(self.options.body_size)))
        extra = (field.replace("{i}", str(number)) for field in self.options.header)
        return fields + [tuple(part.strip() for part in field.split(":", 1)) for field in extra]

    async def connect(self):
        parts = urllib.parse.urlsplit(self.options.url)
        loop = asyncio.get_running_loop()
        _, client = await asyncio.wait_for(loop.create_connection(
            lambda: Client(self.options, self.say), parts.hostname,
            parts.port or (443 if self.tls else 80), ssl=self.tls,
            family=socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET),
            self.options.timeout)
        return client

    async def worker(self, client):
        while self.next < self.options.count:
            number, self.next = self.next, self.next + 1
            exchange = Exchange(number)
            await client.request(exchange, self.fields(number))
            self.report.add(exchange)

    async def go(self):
        clients = await asyncio.gather(*(self.connect() for _ in range(self.options.connections)))
        started = time.monotonic()
        per_connection = self.options.concurrency or -(-self.options.count // len(clients))
        await asyncio.gather(*(self.worker(client) for client in clients
                               for _ in range(per_connection)))
        seconds = time.monotonic() - started
        for client in clients:
            client.transport.close()
        print(self.report.text(seconds, sum(client.goaways for client in clients)), flush=True)
        return self.report.ok == self.options.count


def arguments():
    parser = argparse.ArgumentParser(description="HTTP/2 client for tests")
    add = parser.add_argument
    add("url")
    add("--count", type=int, default=1)
    add("--connections", type=int, default=1)
    add("--concurrency", type=int, help="requests open per connection (all of them)")
    add("--method", default="GET")
    add("--ca", help="the certificate authority, for an https URL")
    add("--authority", help="instead of the URL's host and port")
    add("--header", action="append", default=[], metavar="NAME:VALUE")
    add("--body-size", type=int)
    add("--body-seed", default="")
    add("--declare-length", type=int, default=1, help="0: no content-length in the request")
    add("--check-upload", action="store_true", help="the answer is the report of /echo")
    add("--expect-status", type=int, default=200)
    add("--expect-size", type=int, help="the answer is the body of (size, seed)")
    add("--expect-seed", default="")
    add("--expect-abort", action="store_true")
    add("--or-error", action="store_true", help="an error answer is as good as an abort")
    add("--abort-after", type=int, help="gives up after so many bytes of the answer")
    add("--abort-upload", type=int, help="gives up after so many bytes of the request")
    add("--abort-how", choices=("rst", "close"), default="rst")
    add("--read-delay-ms", type=int, default=0, help="returns credit late: a slow reader")
    add("--window", type=int, default=4 << 20, help="initial window of a stream")
    add("--timeout", type=float, default=60)
    add("--events", action="store_true")
    return parser.parse_args()


def main():
    try:
        good = asyncio.run(Run(arguments()).go())
    except (OSError, asyncio.TimeoutError) as error:
        print(json.dumps({"total": 0, "ok": 0, "failed": 0, "statuses": {}, "bodies": {},
                          "backends": {}, "resets": {}, "bytes": 0, "content": 0,
                          "goaways": 0,
                          "errors": [f"cannot connect: {error!r}"]}))
        good = False
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
