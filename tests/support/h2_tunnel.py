#!/usr/bin/python3
"""A client of tunnels by extended CONNECT (RFC 8441).

    h2_tunnel.py HOST PATH [--count N] [--bytes N] [--pause-ms M] [--ends client|nobody]

Opens N tunnels on one connection, sends computable bytes on each when it is open, and reads what
comes back, ending its side. With --ends nobody the tunnel is left in silence instead when the
bytes have come back. Prints {"announced", "statuses": {status: n}, "echoed": tunnels whose bytes
came back whole, "ended": tunnels ended well by the other side, "resets": {code: n}, "text"}.
"""
import argparse
import asyncio
import collections
import json
import os
import sys

import h2.settings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bodies                                                              # noqa: E402
from h2_endpoint import Endpoint, StreamGone                               # noqa: E402


class Tunnel:
    def __init__(self):
        loop = asyncio.get_running_loop()
        self.answered, self.over = loop.create_future(), loop.create_future()
        self.status, self.received, self.code = None, bytearray(), None

    def finish(self, code=None):
        self.code = code
        for future in (self.answered, self.over):
            if not future.done():
                future.set_result(None)


class Client(Endpoint):
    client_side = True

    def __init__(self):
        super().__init__()
        self.tunnels = {}
        self.ready = asyncio.get_running_loop().create_future()

    def piece_received(self, event):
        self.acknowledge(event.stream_id, event.flow_controlled_length)
        self.tunnels[event.stream_id].received += event.data

    def response_received(self, event):
        tunnel = self.tunnels[event.stream_id]
        tunnel.status = dict(event.headers)[":status"]
        tunnel.answered.set_result(None)

    def stream_ended(self, event):
        self.tunnels[event.stream_id].finish()

    def stream_reset(self, event):
        self.tunnels[event.stream_id].finish(int(event.error_code))

    def settings_received(self, event):
        super().settings_received(event)
        if not self.ready.done():
            self.ready.set_result(None)

    def disconnected(self, error):
        for tunnel in self.tunnels.values():
            tunnel.finish(-1)

    def announced(self):
        codes = h2.settings.SettingCodes
        return self.h2.remote_settings.get(codes.ENABLE_CONNECT_PROTOCOL, 0)

    async def open(self, host, path):
        stream_id = self.h2.get_next_available_stream_id()
        tunnel = self.tunnels[stream_id] = Tunnel()
        self.h2.send_headers(stream_id, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
            (":authority", host), (":path", path), ("sec-websocket-version", "13")])
        self.flush()
        await tunnel.answered
        return stream_id, tunnel


async def talk(client, options, number):
    stream_id, tunnel = await client.open(options.host, options.path)
    sent = b"".join(bodies.pieces(options.bytes, str(number)))
    if tunnel.status == "200":
        try:
            for at in range(0, len(sent), options.piece):
                await client.send_piece(stream_id, sent[at:at + options.piece])
                await asyncio.sleep(options.pause_ms / 1000)
            if options.ends != "nobody":
                await client.send_piece(stream_id, b"", end=True)
        except StreamGone:
            pass
    await tunnel.over
    return tunnel, bytes(tunnel.received) == sent


async def run(options):
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(Client, options.host, 80)
    await asyncio.wait_for(client.ready, 10)
    done = await asyncio.wait_for(asyncio.gather(*(
        talk(client, options, number) for number in range(options.count))), options.timeout)
    tunnels = [tunnel for tunnel, _ in done]
    print(json.dumps({
        "announced": client.announced(),
        "statuses": collections.Counter(tunnel.status for tunnel in tunnels),
        "echoed": sum(echoed for _, echoed in done),
        "ended": sum(tunnel.code is None for tunnel in tunnels),
        "resets": collections.Counter(tunnel.code for tunnel in tunnels if tunnel.code is not None),
        "text": bytes(tunnels[0].received[:200]).decode(errors="replace")}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("path")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=1000)
    parser.add_argument("--piece", type=int, default=16384)
    parser.add_argument("--pause-ms", type=int, default=0)
    parser.add_argument("--ends", choices=("client", "nobody"), default="client")
    parser.add_argument("--timeout", type=float, default=60)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
