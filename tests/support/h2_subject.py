#!/usr/bin/python3
"""A connection to a server under examination, and the answers that a rule may ask of it."""
import select
import struct
import time

import hpack

from h2_abuse import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, Peer,
                      RST_STREAM, SETTINGS, frame)

(NO_ERROR, PROTOCOL, INTERNAL, FLOW, SETTINGS_TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL,
 COMPRESSION) = range(10)
NAMES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
         "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR")
PATIENCE_S = 10
ROOT = [(":method", "GET"), (":scheme", "http"), (":authority", "rules.example"), (":path", "/")]
POST = [(":method", "POST"), *ROOT[1:3], (":path", "/echo")]


def u32(number):
    return struct.pack(">I", number)


def setting(kind, value):
    return struct.pack(">HI", kind, value)


def literal(name, value):
    """Without indexing, a new name (RFC 7541 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Subject(Peer):
    """A connection that keeps what came on each stream."""

    def __init__(self, host, preface=True):
        super().__init__(host, preface=False)
        self.statuses, self.ended, self.reset, self.data = {}, set(), {}, {}
        self.pongs, self.settings_acks = [], 0
        self.decoder = hpack.Decoder()
        if preface:
            self.send(PREFACE + frame(SETTINGS))

    def receive(self):
        try:
            got = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        self.closed = self.closed or not got
        self.buffer += got
        while len(self.buffer) >= 9:
            end = 9 + int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < end:
                return
            kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
            payload, self.buffer = self.buffer[9:end], self.buffer[end:]
            self.arrived(kind, flags, stream, payload)

    def arrived(self, kind, flags, stream, payload):
        if kind == HEADERS:
            fields = dict(self.decoder.decode(payload))
            self.statuses.setdefault(stream, fields.get(":status"))
        elif kind == DATA:
            self.data.setdefault(stream, []).append(len(payload))
        elif kind == RST_STREAM:
            self.reset[stream] = struct.unpack(">I", payload)[0]
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0]
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == SETTINGS and flags & ACK:
            self.settings_acks += 1
        elif kind == SETTINGS:
            self.send(frame(SETTINGS, ACK))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)

    def wait(self, condition, seconds=PATIENCE_S):
        """Reads until CONDITION is true, or the connection is over."""
        self.socket.setblocking(False)
        end = time.monotonic() + seconds
        while not condition() and not self.closed:
            left = end - time.monotonic()
            if left <= 0:
                break
            if select.select([self.socket], [], [], left)[0]:
                self.receive()
        return condition()

    def lives(self, marker=b"rule?end"):
        self.send(frame(PING, 0, 0, marker))
        return self.wait(lambda: marker in self.pongs)

    # What is sent.
    def head(self, stream=1, fields=None, flags=END_STREAM | END_HEADERS, before=b"", behind=b""):
        block = self.encoder.encode(ROOT if fields is None else fields)
        self.send(frame(HEADERS, flags, stream, before + block + behind))

    def raw(self, *frames):
        self.send(b"".join(frames))

    def ask_and_end(self, stream=1):
        self.head(stream)
        self.wait(lambda: stream in self.ended)


# What a server may answer. A breach on a stream may always end the connection (RFC 9113 5.4).
class Served:
    """The requests are answered with 200, and the connection lives (or may end: `last`)."""

    def __init__(self, *streams, last=False):
        self.streams, self.last = streams or (1,), last

    def __str__(self):
        return f"200 on {self.streams}"

    def met(self, peer):
        peer.wait(lambda: all(stream in peer.ended for stream in self.streams))
        return all(peer.statuses.get(stream) == "200" for stream in self.streams) and (
            peer.lives() or self.last
        )


class Alive:
    """Nothing happens."""

    def __str__(self):
        return "PING is answered, no GOAWAY, no reset"

    def met(self, peer):
        return peer.lives() and peer.goaway is None and not peer.reset


class Disconnected:
    """GOAWAY with one of the codes, and the end; or the end alone (RFC 9113 5.4.1)."""

    def __init__(self, *codes, silent=False):
        self.codes, self.silent = codes, silent

    def __str__(self):
        return "GOAWAY " + "/".join(NAMES[code] for code in self.codes)

    def met(self, peer):
        peer.wait(lambda: peer.closed)
        return peer.closed and (peer.goaway in self.codes or self.silent and peer.goaway is None)


class Reset:
    """RST_STREAM with one of the codes while the connection lives, or as Disconnected."""

    def __init__(self, *codes, stream=1, statuses=()):
        self.codes, self.stream, self.statuses = codes, stream, statuses

    def __str__(self):
        return (
            f"RST_STREAM {self.stream} "
            + "/".join(NAMES[code] for code in self.codes)
            + "".join(f" or {status}" for status in self.statuses)
        )

    def met(self, peer):
        peer.wait(
            lambda: self.stream in peer.reset
            or peer.goaway is not None
            or peer.statuses.get(self.stream) in self.statuses
        )
        if peer.goaway is not None:
            return Disconnected(*self.codes).met(peer)
        refused = peer.statuses.get(self.stream) in self.statuses
        return (refused or peer.reset.get(self.stream) in self.codes) and peer.lives()


class Acknowledged:
    def __str__(self):
        return "every SETTINGS is acknowledged"

    def met(self, peer):
        return peer.wait(lambda: peer.settings_acks >= 4) and peer.lives()


class Pieces:
    """The DATA of stream 1 begins with pieces of these lengths and goes no further."""

    def __init__(self, *lengths):
        self.lengths = list(lengths)

    def __str__(self):
        return f"DATA of {self.lengths}"

    def met(self, peer):
        peer.wait(lambda: sum(peer.data.get(1, [])) >= sum(self.lengths) and 1 in peer.statuses)
        return (
            peer.lives()
            and peer.lives(b"and then")
            and sum(peer.data.get(1, [])) == sum(self.lengths)
        )


class Ponged:
    def __str__(self):
        return "the same eight bytes"

    def met(self, peer):
        return peer.wait(lambda: peer.pongs == [b"opaque!!"]) and peer.lives()
