#!/usr/bin/python3
"""The pages of h2_backend.py over HTTP/1.1: one request at a time on a connection.

The same options, paths and counts. What HTTP/1.1 has no word for: /refuse and /abort end the
connection. Answers are chunked unless they declare a length. SIGUSR1 ends
connections after the answer under way.
"""
import argparse
import asyncio
import os
import signal
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import h2_backend                                                          # noqa: E402
from h2_endpoint import StreamGone                                         # noqa: E402

HEAD_BYTES = 1 << 17
PIECE_BYTES = 1 << 16


class BadRequest(Exception):
    """What a strict server answers with 400."""


class Input:
    """The connection's bytes, with what was read ahead."""

    def __init__(self, reader):
        self.reader, self.ahead = reader, b""

    async def more(self):
        data = await self.reader.read(PIECE_BYTES)
        if not data:
            raise EOFError
        self.ahead += data

    async def take(self, count):
        """1 to COUNT bytes."""
        if not self.ahead:
            await self.more()
        taken, self.ahead = self.ahead[:count], self.ahead[count:]
        return taken

    async def until(self, mark):
        while mark not in self.ahead:
            if len(self.ahead) > HEAD_BYTES:
                raise BadRequest("too long")
            await self.more()
        taken, _, self.ahead = self.ahead.partition(mark)
        return taken

    async def ended(self):
        """Returns when the peer has gone; what it says before that is kept."""
        try:
            while True:
                await self.more()
        except (EOFError, OSError):
            return


class Words:
    """What pages say to python3-h2, said in HTTP/1.1."""

    def __init__(self, connection):
        self.connection = connection

    def send_headers(self, stream_id, headers, end_stream=False):
        status = dict(headers).get(":status")
        fields = [(name, value) for name, value in headers if not name.startswith(":")]
        if status:
            self.connection.write_head(status, fields)
        else:
            self.connection.trailers = fields
            self.connection.end_body()


class Connection:
    """One client of the backend."""

    def __init__(self, backend, reader, writer):
        self.backend, self.writer = backend, writer
        self.input = Input(reader)
        self.transport = writer.transport
        self.h2 = Words(self)
        self.tasks = {}
        self.retiring = False
        self.request = None
        self.waiting = b""             # of the answer, to leave with what comes next

    # reading
    async def serve(self):
        self.backend.connections.add(self)
        try:
            while not self.retiring and not self.transport.is_closing():
                await self.serve_one()
        except BadRequest as error:
            self.write_head(400, [("content-length", "0"), ("connection", "close")])
            self.backend.counts[f"bad request: {error}"] += 1
        except (EOFError, OSError, StreamGone):
            pass
        finally:
            self.backend.connections.discard(self)
            self.transport.close()

    async def serve_one(self):
        request = parse(await self.input.until(b"\r\n\r\n"))
        self.request, self.chunked, self.trailers, self.begun, self.over = request, False, [], False, False
        self.backend.count(request)
        page = asyncio.ensure_future(self.answer(request))
        self.tasks[1] = page
        feeder = asyncio.ensure_future(self.feed(request))
        await asyncio.wait((page, feeder), return_when=asyncio.FIRST_COMPLETED)
        if not page.done():
            watcher = asyncio.ensure_future(self.input.ended())
            await asyncio.wait((page, watcher), return_when=asyncio.FIRST_COMPLETED)
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        if not page.done():
            self.backend.cancelled[request.target].append(time.monotonic())
            page.cancel()
        self.tasks.pop(1)
        await asyncio.gather(page, return_exceptions=True)
        if not self.over:
            self.transport.abort()
        if not await feeder:
            raise EOFError

    async def answer(self, request):
        if self.backend.delay_ms:
            await asyncio.sleep(self.backend.delay_ms / 1000)
        await self.backend.pages.get(request.path, h2_backend.plain)(self, request)

    async def feed(self, request):
        """The request's body into its queue. False: the peer went before its end."""
        try:
            async for piece in body_of(request, self.input):
                while request.body.qsize() > 16 and self.tasks:
                    await asyncio.sleep(0.001)
                request.body.put_nowait((piece, len(piece)))
            request.body.put_nowait(None)
            return True
        except (EOFError, OSError):
            return False
        except BadRequest as error:
            self.backend.counts[f"bad request: {error}"] += 1
            return False

    async def read_body(self, request):
        while (item := await request.body.get()) is not None:
            yield item[0]

    # writing
    def write(self, data):
        """What has waited goes with it."""
        waiting, self.waiting = self.waiting, b""
        self.writer.write(waiting + data)

    def write_head(self, status, fields, alone=True):
        """Not ALONE: it leaves in one write with what is sent next."""
        lines = [f"HTTP/1.1 {status} Said So", *(f"{name}: {value}" for name, value in fields)]
        self.waiting += "\r\n".join([*lines, "", ""]).encode()
        if alone:
            self.write(b"")

    def begin(self, request, status=200, fields=(), end=False, alone=True):
        extra = [tuple(item.split(":", 1)) for item in request.query.get("h", [])]
        status = request.number("status", status)
        fields = [("x-backend", self.backend.name), *fields, *extra]
        declared = any(name == "content-length" for name, _ in fields)
        bodiless = request.method == "HEAD" or status in (204, 304)
        if end and not declared and not bodiless:
            fields.append(("content-length", "0"))
        self.chunked = not end and not declared and not bodiless
        if self.chunked:
            fields.append(("transfer-encoding", "chunked"))
        if self.retiring:
            fields.append(("connection", "close"))
        self.write_head(status, fields, alone)
        self.over = end

    finish = h2_backend.Connection.finish

    async def send_piece(self, stream_id, data, end=False):
        if self.transport.is_closing():
            raise StreamGone
        if data:
            self.write(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)
        if end:
            self.end_body()
        await self.writer.drain()

    def end_body(self):
        if self.chunked:
            lines = "".join(f"{name}: {value}\r\n" for name, value in self.trailers)
            self.write(f"0\r\n{lines}\r\n".encode())
        self.over = True

    def flush(self):
        pass

    def reset(self, stream_id, code):
        self.transport.abort()

    def retire(self):
        self.retiring = True
        if not self.tasks:
            self.transport.close()


def parse(head):
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        raise BadRequest(f"request line {lines[0]!r}")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
            raise BadRequest(f"field line {line!r}")
        fields.append((name.lower(), value.strip()))
    hosts = [value for name, value in fields if name == "host"]
    if len(hosts) != 1:
        raise BadRequest(f"{len(hosts)} hosts")
    request = h2_backend.Request(1, [(":method", words[0]), (":path", words[1]),
                                     (":authority", hosts[0]), (":scheme", "http"), *fields])
    request.fields = fields
    return request


async def body_of(request, source):
    lengths = [value for name, value in request.fields if name == "content-length"]
    codings = [value for name, value in request.fields if name == "transfer-encoding"]
    if (lengths and codings) or len(lengths) > 1 or codings not in ([], ["chunked"]):
        raise BadRequest(f"framing {lengths} {codings}")
    left = int(lengths[0]) if lengths else 0
    while True:
        if codings:
            left = int(await source.until(b"\r\n"), 16)
        last = left == 0
        while left:
            piece = await source.take(min(left, PIECE_BYTES))
            left -= len(piece)
            yield piece
        if not codings:
            return
        if last:
            while await source.until(b"\r\n"):
                pass
            return
        if await source.until(b"\r\n"):
            raise BadRequest("chunk without end")


def tls_context(chain, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def serve(name, addresses, port, tls):
    backend = h2_backend.Backend(name)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, backend.goaway)

    async def accept(reader, writer):
        await Connection(backend, reader, writer).serve()

    for address in addresses:
        await asyncio.start_server(accept, address, port, backlog=2048)
        if tls:
            await asyncio.start_server(accept, address, int(tls[0]), backlog=2048,
                                       ssl=tls_context(*tls[1:]))
    print(f"{name}: ready on {', '.join(addresses)} port {port}", flush=True)
    await stopped.wait()
    # Connections die with the process, as they do when a host goes away.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="HTTP/1.1 backend for tests")
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--tls", nargs=3, metavar=("PORT", "CHAIN", "KEY"), help="also over TLS")
    options = parser.parse_args()
    asyncio.run(serve(options.name, options.address, options.port, options.tls))


if __name__ == "__main__":
    main()
