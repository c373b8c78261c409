#!/usr/bin/python3
"""A backend for tests: HTTP/2 in clear text by prior knowledge, or over TLS; IPv4 and IPv6.

Any path                  a short page; every answer carries `x-backend: NAME` and a serial number
  ?h=name:value             adds a response header (may be repeated)
  ?status=CODE              answers with that status
/slow?ms=M&bytes=N        the same, M milliseconds later (N bytes instead of a page)
/held?bytes=N             the same, when /release is asked
/bytes?n=N&seed=S         N computable bytes (bodies.py); &cl=0 leaves content-length out
/echo                     POST: {"length", "sha256"} of the body; ?body=1 sends the body back;
                          ?rate=N reads N bytes a second; ?ms=M: the answer so much later
/stream?chunks=C&interval_ms=M   server-sent events; &split_ms=S: each in two halves, S apart;
                          &wait_ms=W: headers so much later; &event_bytes=N more in each event
/hang                     never answers       /hang?headers=1   headers, then silence
/abort?after=N&how=rst|close     N bytes of a declared 1 MiB, then the stream or connection dies
/refuse                   RST_STREAM(REFUSED_STREAM), unprocessed
/tunnel                   extended CONNECT (RFC 8441): what comes goes back; ends when the client ends
  ?first=1                  the backend ends its side at once; what comes is counted as
                            "/tunnel received N" in /counts when the client has ended
/headers                  the request's header fields as JSON, in order
/trailers                 a body with trailer fields    /hints   a 103 before the answer
/healthz                  200, or what /set said
/counts                   {"name", "requests": {path with query: n}, "open", "connections",
                          "cancelled": {path with query: [when, on the clock of all processes]}}
/reset                    forgets the counts            /set?health=CODE&delay_ms=M&connect=0|1
                          (connect: whether new connections announce extended CONNECT)

A first path segment /shared, /ask or /events is ignored: routes with different rules reach the same pages.
SIGTERM exits at once, SIGUSR1 sends GOAWAY on every connection and finishes what is open.
"""
import argparse
import asyncio
import collections
import hashlib
import json
import os
import signal
import socket
import ssl
import sys
import time
import urllib.parse

import h2.errors
import h2.exceptions
import h2.settings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bodies                                                              # noqa: E402
from h2_endpoint import Endpoint, StreamGone                               # noqa: E402

DISTINCT_PATHS = 100_000
UNCOUNTED = ("/counts", "/reset", "/release", "/set", "/healthz")
ROUTE_PREFIXES = ("/shared/", "/ask/", "/events/")


class Request:
    """One request: its fields, and its body as it arrives (None marks the end)."""

    def __init__(self, stream_id, headers):
        self.stream_id = stream_id
        self.headers = headers
        fields = dict(headers)
        self.method = fields.get(":method", "")
        self.target = fields.get(":path", "/")
        parts = urllib.parse.urlsplit(self.target)
        self.path = parts.path
        for prefix in ROUTE_PREFIXES:
            if self.path.startswith(prefix):
                self.path = self.path[len(prefix) - 1:]
        self.query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
        self.body = asyncio.Queue()

    def number(self, name, default):
        return int(self.query.get(name, [default])[0])

    def text(self, name, default=""):
        return self.query.get(name, [default])[0]


class Backend:
    """What all connections share."""

    def __init__(self, name):
        self.name = name
        self.serial = 0
        self.health = 200
        self.delay_ms = 0
        self.connect = 1
        self.counts = collections.Counter()
        self.cancelled = collections.defaultdict(list)
        self.connections = set()
        self.released = asyncio.Event()
        self.pages = {"/echo": echo, "/slow": slow, "/held": held, "/bytes": send_bytes,
                      "/stream": stream, "/hang": hang, "/abort": abort, "/refuse": refuse,
                      "/headers": headers_page, "/trailers": trailers, "/tunnel": tunnel,
                      "/hints": hints, "/healthz": healthz, "/counts": counts, "/reset": reset,
                      "/release": release, "/set": change}

    def count(self, request):
        if request.path in UNCOUNTED:
            return
        if request.target in self.counts or len(self.counts) < DISTINCT_PATHS:
            self.counts[request.target] += 1

    def goaway(self):
        for connection in list(self.connections):
            connection.retire()


class Connection(Endpoint):
    """One client of the backend; every request has a task that answers it."""

    client_side = False

    def __init__(self, backend):
        self.backend = backend
        super().__init__()
        self.requests = {}
        self.tasks = {}
        self.last_stream_id = 0
        self.retiring_after = None

    def further_settings(self):
        codes = h2.settings.SettingCodes
        return {codes.ENABLE_CONNECT_PROTOCOL: 1} if self.backend.connect else {}

    def connection_made(self, transport):
        self.backend.connections.add(self)
        super().connection_made(transport)

    def disconnected(self, error):
        self.backend.connections.discard(self)
        for task in self.tasks.values():
            task.cancel()

    def request_received(self, event):
        if self.retiring_after is not None and event.stream_id > self.retiring_after:
            self.reset(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        self.last_stream_id = max(self.last_stream_id, event.stream_id)
        request = Request(event.stream_id, event.headers)
        self.requests[event.stream_id] = request
        self.backend.count(request)
        page = self.backend.pages.get(request.path, plain)
        task = asyncio.ensure_future(self.answer(page, request))
        # Not `finally` in answer(): a task cancelled before it first runs never gets there.
        task.add_done_callback(lambda task: self.answered(request))
        self.tasks[event.stream_id] = task

    async def answer(self, page, request):
        try:
            if self.backend.delay_ms:
                await asyncio.sleep(self.backend.delay_ms / 1000)
            await page(self, request)
        except (StreamGone, h2.exceptions.ProtocolError):
            pass

    def answered(self, request):
        self.requests.pop(request.stream_id, None)
        self.tasks.pop(request.stream_id, None)
        self.return_credit(request)
        if self.retiring_after is not None and not self.tasks:
            self.transport.close()

    def return_credit(self, request):
        """What the page did not read still counts against the connection's window."""
        while not request.body.empty():
            item = request.body.get_nowait()
            if item is not None:
                self.acknowledge(request.stream_id, item[1])
        self.flush()

    def piece_received(self, event):
        request = self.requests.get(event.stream_id)
        if request is None:
            self.acknowledge(event.stream_id, event.flow_controlled_length)
            return
        request.body.put_nowait((event.data, event.flow_controlled_length))

    def stream_ended(self, event):
        request = self.requests.get(event.stream_id)
        if request:
            request.body.put_nowait(None)

    def stream_reset(self, event):
        task = self.tasks.get(event.stream_id)
        if task:
            target = self.requests[event.stream_id].target
            self.backend.cancelled[target].append(time.monotonic())
            task.cancel()

    def retire(self):
        self.retiring_after = self.last_stream_id
        self.goaway(self.last_stream_id)
        if not self.tasks:
            self.transport.close()

    # what pages use
    def begin(self, request, status=200, fields=(), end=False, alone=True):
        """The head of an answer; not ALONE: it leaves in one write with what is sent next."""
        extra = [tuple(item.split(":", 1)) for item in request.query.get("h", [])]
        self.h2.send_headers(request.stream_id, [
            (":status", str(request.number("status", status))),
            ("x-backend", self.backend.name), *fields, *extra], end_stream=end)
        if alone:
            self.flush()

    async def finish(self, request, body, content_type="text/plain", fields=()):
        if request.number("status", 200) in (204, 304):
            self.begin(request, fields=fields, end=True)
            return
        empty = request.method == "HEAD" or not body
        self.begin(request, fields=(("content-type", content_type),
                                    ("content-length", str(len(body))), *fields),
                   end=empty, alone=empty)
        if not empty:
            await self.send_piece(request.stream_id, body, end=True)

    async def read_body(self, request):
        """Yields the request's body; the peer gets its credit back after each piece is used."""
        while True:
            item = await request.body.get()
            if item is None:
                return
            data, credit = item
            yield data
            self.acknowledge(request.stream_id, credit)
            self.flush()


def serial_text(connection):
    backend = connection.backend
    backend.serial += 1
    return f"{backend.name} answer {backend.serial}\n"


async def plain(connection, request):
    await connection.finish(request, serial_text(connection).encode())


async def slow(connection, request):
    text = serial_text(connection)
    await asyncio.sleep(request.number("ms", 500) / 1000)
    await finish_text(connection, request, text)


async def held(connection, request):
    text = serial_text(connection)
    await connection.backend.released.wait()
    await finish_text(connection, request, text)


async def release(connection, request):
    """Who waits now is answered; who asks for /held later waits again."""
    connection.backend.released.set()
    connection.backend.released = asyncio.Event()
    await connection.finish(request, b"released\n")


async def finish_text(connection, request, text):
    size = request.number("bytes", 0)
    body = text.encode() + b"".join(bodies.pieces(size, text))
    await connection.finish(request, body)


async def send_bytes(connection, request):
    length, seed = request.number("n", 1024), request.text("seed")
    declared = (("content-length", str(length)),) if request.number("cl", 1) else ()
    empty = request.method == "HEAD" or length == 0
    connection.begin(request, fields=declared, end=empty)
    if empty:
        return
    for piece in bodies.pieces(length, seed):
        await connection.send_piece(request.stream_id, piece)
    await connection.send_piece(request.stream_id, b"", end=True)


async def echo(connection, request):
    if request.number("body", 0):
        connection.begin(request)
        async for piece in connection.read_body(request):
            await connection.send_piece(request.stream_id, piece)
        await connection.send_piece(request.stream_id, b"", end=True)
        return
    length, state, rate = 0, hashlib.sha256(), request.number("rate", 0)
    started = time.monotonic()
    async for piece in connection.read_body(request):
        length += len(piece)
        state.update(piece)
        if rate:
            await asyncio.sleep(max(0, started + length / rate - time.monotonic()))
    await asyncio.sleep(request.number("ms", 0) / 1000)
    answer = {"length": length, "sha256": state.hexdigest()}
    await connection.finish(request, json.dumps(answer).encode(), "application/json")


async def stream(connection, request):
    await asyncio.sleep(request.number("wait_ms", 0) / 1000)
    connection.begin(request, fields=(("content-type", "text/event-stream"),))
    pause = request.number("interval_ms", 50) / 1000
    text = serial_text(connection).strip()
    more = "." * request.number("event_bytes", 0)
    for number in range(request.number("chunks", 10)):
        event = f"id: {number}\ndata: {more}{text} part {number}\n\n".encode()
        split_ms = request.number("split_ms", 0)
        if split_ms:
            await connection.send_piece(request.stream_id, event[:12])
            await asyncio.sleep(split_ms / 1000)
            event = event[12:]
        await connection.send_piece(request.stream_id, event)
        await asyncio.sleep(pause)
    await connection.send_piece(request.stream_id, b"", end=True)


async def hang(connection, request):
    if request.number("headers", 0):
        connection.begin(request)
    await asyncio.Event().wait()


async def abort(connection, request):
    after = request.number("after", 1000)
    connection.begin(request, fields=(("content-length", str(1 << 20)),))
    for piece in bodies.pieces(after, ""):
        await connection.send_piece(request.stream_id, piece)
    if request.text("how", "rst") == "close":
        connection.transport.close()
    else:
        connection.reset(request.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)


async def refuse(connection, request):
    connection.reset(request.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)


async def tunnel(connection, request):
    first = request.number("first", 0)
    connection.begin(request, end=bool(first))
    received = 0
    async for piece in connection.read_body(request):
        received += len(piece)
        if not first:
            await connection.send_piece(request.stream_id, piece)
    if not first:
        await connection.send_piece(request.stream_id, b"", end=True)
    connection.backend.counts[f"/tunnel received {received}"] += 1


async def headers_page(connection, request):
    await connection.finish(request, json.dumps(request.headers).encode(), "application/json")


async def trailers(connection, request):
    connection.begin(request, fields=(("trailer", "x-checksum, grpc-status"),))
    await connection.send_piece(request.stream_id, serial_text(connection).encode())
    connection.h2.send_headers(request.stream_id, [("x-checksum", "42"), ("grpc-status", "0")],
                               end_stream=True)
    connection.flush()


async def hints(connection, request):
    connection.h2.send_headers(request.stream_id, [(":status", "103"), ("link", "</a.css>")])
    await plain(connection, request)


async def healthz(connection, request):
    connection.begin(request, status=connection.backend.health, end=True)


async def counts(connection, request):
    backend = connection.backend
    answer = {"name": backend.name, "requests": backend.counts, "cancelled": backend.cancelled,
              "open": sum(len(c.tasks) for c in backend.connections) - 1,
              "connections": len(backend.connections) - 1}
    await connection.finish(request, json.dumps(answer).encode(), "application/json")


async def reset(connection, request):
    connection.backend.counts.clear()
    connection.backend.cancelled.clear()
    connection.begin(request, end=True)


async def change(connection, request):
    backend = connection.backend
    backend.health = request.number("health", backend.health)
    backend.delay_ms = request.number("delay_ms", backend.delay_ms)
    backend.connect = request.number("connect", backend.connect)
    connection.begin(request, end=True)


def tls_context(chain, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["h2"])
    return context


async def serve(name, addresses, port, tls):
    backend = Backend(name)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, backend.goaway)

    def accept():
        return Connection(backend)

    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        await loop.create_server(accept, address, port, family=family, backlog=2048)
        if tls:
            await loop.create_server(accept, address, int(tls[0]), family=family, backlog=2048,
                                     ssl=tls_context(*tls[1:]))
    print(f"{name}: ready on {', '.join(addresses)} port {port}", flush=True)
    await stopped.wait()
    # Connections die with the process, as they do when a host goes away.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="HTTP/2 backend for tests")
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--tls", nargs=3, metavar=("PORT", "CHAIN", "KEY"), help="also over TLS")
    options = parser.parse_args()
    asyncio.run(serve(options.name, options.address, options.port, options.tls))


if __name__ == "__main__":
    main()
