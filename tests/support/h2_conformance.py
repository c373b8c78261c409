#!/usr/bin/python3
"""A client that asks a server about RFC 9113 and RFC 7541, a rule at a time.

    h2_conformance.py HOST [PATTERN ...]

Each rule is a row of RULES: where it stands, what is sent on a connection of its own, and how the
server may answer. Prints {"passed": n, "failed": [{"rule", "expected", "found"}]}.
"""
import argparse
import json
import sys

from h2_abuse import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED,
                      PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, UNKNOWN,
                      WINDOW_UPDATE, frame)
from h2_subject import (CANCEL, CLOSED, COMPRESSION, FLOW, POST, PROTOCOL, REFUSED, ROOT, SIZE,
                        Acknowledged, Alive, Disconnected, Pieces, Ponged, Reset, Served, Subject,
                        literal, setting, u32)

WEIGHTED = 0x20  # HEADERS with a priority (RFC 9113 6.2)

RULES = []


def rule(section, text, expected, play, preface=True):
    RULES.append((f"{section} {text}", expected, play, preface))


def frames(*what):
    return lambda peer: peer.raw(*what)


def settings(kind, value):
    return frames(frame(SETTINGS, 0, 0, setting(kind, value)))


def last_data(payload):
    return frame(DATA, END_STREAM, 1, payload)


def priority(stream):
    return frame(PRIORITY, 0, stream, u32(0) + b"\xff")


def window(stream, by):
    return frame(WINDOW_UPDATE, 0, stream, u32(by))


def request(fields=None, **more):
    return lambda peer: peer.head(fields=fields, **more)


def steps(*parts):
    def play(peer):
        for part in parts:
            part(peer)

    return play


def ended(peer):
    peer.ask_and_end()


def opened(peer):
    peer.head(fields=POST, flags=END_HEADERS)


def half_closed(peer):
    peer.head(fields=[*ROOT[:3], (":path", "/slow?ms=300")])


def reset_by_client(peer):
    peer.head(fields=[*ROOT[:3], (":path", "/slow?ms=300")])
    peer.raw(frame(RST_STREAM, 0, 1, u32(CANCEL)))


GOOD_SETTINGS = frame(SETTINGS)
# 3.4 The preface.
rule("3.4", "preface, SETTINGS, request", Served(), request())
rule("3.4", "an invalid preface", Disconnected(PROTOCOL, silent=True),
     frames(b"INVALID CONNECTION PREFACE\r\n\r\n"), preface=False)
rule("3.4", "a frame before SETTINGS", Disconnected(PROTOCOL, silent=True),
     frames(PREFACE, frame(PING, 0, 0, b"12345678")), preface=False)
rule("3.4", "SETTINGS ACK is no SETTINGS", Disconnected(PROTOCOL, silent=True),
     frames(PREFACE, frame(SETTINGS, ACK)), preface=False)
rule("3.4", "the request may come with the preface", Served(),
     steps(frames(PREFACE, GOOD_SETTINGS), request()), preface=False)
# 4 Frames.
rule("4.1", "an unknown type is ignored", Served(),
     steps(frames(frame(UNKNOWN, 0, 0, b"12345678")), request()))
rule("4.1", "an unknown type on an idle stream is ignored", Served(),
     steps(frames(frame(UNKNOWN, 0xFF, 9, b"1")), request()))
rule("4.1", "undefined flags are ignored", Served(),
     steps(frames(frame(PING, 0x16, 0, b"undefine")), request()))
rule("4.1", "the reserved bit is ignored", Served(),
     steps(frames(frame(PING, 0, 0x80000000, b"reserved")), request()))
rule("4.1", "the reserved bit of a stream is ignored", Served(),
     lambda p: p.raw(frame(HEADERS, 5, 0x80000001, p.encoder.encode(ROOT))))
rule("4.2", "DATA of 2^14 bytes", Served(), steps(opened, frames(last_data(b"x" * 16384))))
rule("4.2", "DATA of more than 2^14 bytes", Reset(SIZE),
     steps(opened, frames(last_data(b"x" * 16385))))
rule("4.2", "HEADERS of more than 2^14 bytes", Disconnected(SIZE),
     frames(frame(HEADERS, 5, 1, b"\x82" * 16385)))
rule("4.2", "SETTINGS of more than 2^14 bytes", Disconnected(SIZE),
     frames(frame(SETTINGS, 0, 0, setting(0xF0F0, 1) * 2731)))
rule("4.2", "an unknown frame of more than 2^14 bytes", Disconnected(SIZE),
     frames(frame(UNKNOWN, 0, 0, b"x" * 16385)))
rule("4.3", "a block that does not decode", Disconnected(COMPRESSION),
     frames(frame(HEADERS, 5, 1, b"\x3f\xff\xff\xff\xff\xff\xff\xff\xff\xff")))
rule("4.3", "PRIORITY inside a header block", Disconnected(PROTOCOL),
     steps(request(flags=END_STREAM), frames(priority(1))))
rule("4.3", "HEADERS of another stream inside a header block", Disconnected(PROTOCOL),
     steps(request(flags=END_STREAM), request(stream=3)))
rule("4.3", "CONTINUATION of another stream inside a header block", Disconnected(PROTOCOL),
     steps(request(flags=END_STREAM), frames(frame(CONTINUATION, END_HEADERS, 3, b""))))
rule("4.3", "an unknown frame inside a header block", Disconnected(PROTOCOL),
     steps(request(flags=END_STREAM), frames(frame(UNKNOWN, 0, 0, b""))))
# 5.1 States of a stream.
rule("5.1", "idle: DATA", Disconnected(PROTOCOL), frames(last_data(b"test")))
rule("5.1", "idle: RST_STREAM", Disconnected(PROTOCOL),
     frames(frame(RST_STREAM, 0, 1, u32(CANCEL))))
rule("5.1", "idle: WINDOW_UPDATE", Disconnected(PROTOCOL), frames(window(1, 100)))
rule("5.1", "idle: CONTINUATION", Disconnected(PROTOCOL),
     frames(frame(CONTINUATION, END_HEADERS, 1, b"\x82")))
rule("5.1", "idle: PRIORITY", Served(), steps(frames(priority(7)), request()))
rule("5.1", "half closed: DATA", Reset(CLOSED), steps(half_closed, frames(last_data(b"test"))))
rule("5.1", "half closed: HEADERS", Reset(CLOSED), steps(half_closed, request()))
rule("5.1", "half closed: CONTINUATION", Disconnected(PROTOCOL, CLOSED),
     steps(half_closed, frames(frame(CONTINUATION, END_HEADERS, 1, b"\x82"))))
rule("5.1", "half closed: WINDOW_UPDATE and PRIORITY", Served(),
     steps(half_closed, frames(window(1, 100), priority(1))))
rule("5.1", "half closed: RST_STREAM", Alive(), reset_by_client)
rule("5.1", "closed by the client's reset: DATA", Reset(CLOSED),
     steps(reset_by_client, frames(last_data(b"test"))))
rule("5.1", "closed by the client's reset: HEADERS", Reset(CLOSED),
     steps(reset_by_client, request()))
rule("5.1", "closed by the client's reset: CONTINUATION", Disconnected(PROTOCOL, CLOSED),
     steps(reset_by_client, frames(frame(CONTINUATION, END_HEADERS, 1, b"\x82"))))
rule("5.1", "closed in order: DATA", Reset(CLOSED), steps(ended, frames(last_data(b"test"))))
rule("5.1", "closed in order: HEADERS", Reset(CLOSED, PROTOCOL), steps(ended, request()))
rule("5.1", "closed in order: CONTINUATION", Disconnected(PROTOCOL, CLOSED),
     steps(ended, frames(frame(CONTINUATION, END_HEADERS, 1, b"\x82"))))
rule("5.1", "closed: PRIORITY, WINDOW_UPDATE, RST_STREAM", Served(3),
     steps(ended, frames(priority(1), window(1, 1), frame(RST_STREAM, 0, 1, u32(CANCEL))),
     request(stream=3)))
rule("5.1.1", "a stream of an even number", Disconnected(PROTOCOL), request(stream=2))
rule("5.1.1", "a stream smaller than one before", Disconnected(PROTOCOL, CLOSED),
     steps(request(stream=5), request(stream=3)))
rule("5.1.1", "the largest stream", Served(0x7FFFFFFF), request(stream=0x7FFFFFFF))
rule("5.1.1", "streams that are left out", Served(1, 9),
     steps(request(), request(stream=9)))
rule("5.1.1", "a stream that was left out and is closed so", Disconnected(PROTOCOL, CLOSED),
     steps(request(stream=9), frames(frame(DATA, END_STREAM, 3, b"x"))))
rule("5.1.2", "more streams than allowed", Reset(PROTOCOL, REFUSED, stream=401),
     lambda p: [p.head(stream=s, fields=[*ROOT[:3], (":path", "/slow?ms=3000")]) for s in range(1,
     403, 2)])
rule("5.3", "HEADERS that depend on themselves", Reset(PROTOCOL),
     lambda p: p.head(flags=5 | WEIGHTED, before=u32(1) + b"\xff"))
rule("5.3", "PRIORITY that depends on itself", Reset(PROTOCOL),
     steps(half_closed, frames(frame(PRIORITY, 0, 1, u32(1) + b"\xff"))))
rule("5.4.1", "an error ends the connection", Disconnected(SIZE),
     frames(frame(PING, 0, 0, b"123456")))
# 6.1 DATA.
rule("6.1", "DATA in pieces", Served(),
     steps(opened,
     frames(frame(DATA, 0, 1, b"one"), frame(DATA, 0, 1, b"two"), frame(DATA, 1, 1))))
rule("6.1", "DATA with padding", Served(),
     steps(opened, frames(frame(DATA, PADDED | END_STREAM, 1, b"\5test" + bytes(5)))))
rule("6.1", "DATA of padding alone", Served(),
     steps(opened, frames(frame(DATA, PADDED | END_STREAM, 1, b"\4" + bytes(4)))))
rule("6.1", "DATA on stream 0", Disconnected(PROTOCOL),
     frames(frame(DATA, END_STREAM, 0, b"test")))
rule("6.1", "padding as long as the payload", Disconnected(PROTOCOL),
     steps(opened, frames(frame(DATA, PADDED | END_STREAM, 1, b"\5test"))))
rule("6.1", "padded DATA without a length", Reset(SIZE, PROTOCOL),
     steps(opened, frames(frame(DATA, PADDED | END_STREAM, 1))))
# 6.2 HEADERS.
rule("6.2", "HEADERS with padding", Served(),
     request(flags=5 | PADDED, before=b"\3", behind=bytes(3)))
rule("6.2", "HEADERS with priority", Served(),
     request(flags=5 | WEIGHTED, before=u32(0) + b"\xff"))
rule("6.2", "HEADERS with both", Served(),
     request(flags=5 | WEIGHTED | PADDED, before=b"\2" + u32(0x80000000) + b"\1", behind=bytes(2)))
rule("6.2", "HEADERS on stream 0", Disconnected(PROTOCOL), request(stream=0))
rule("6.2", "padding longer than the block", Disconnected(PROTOCOL),
     frames(frame(HEADERS, 5 | PADDED, 1, b"\xff\x82\x84")))
rule("6.2", "padding that overlaps the priority", Disconnected(PROTOCOL, SIZE),
     frames(frame(HEADERS, 5 | PADDED | WEIGHTED, 1, b"\5" + u32(0) + b"\1\x82")))
rule("6.2", "HEADERS without room for the priority", Disconnected(SIZE, PROTOCOL),
     frames(frame(HEADERS, 5 | WEIGHTED, 1, b"\0\0")))
# 6.3 PRIORITY.
rule("6.3", "PRIORITY on stream 0", Disconnected(PROTOCOL), frames(priority(0)))
rule("6.3", "PRIORITY of 4 bytes", Reset(SIZE),
     steps(half_closed, frames(frame(PRIORITY, 0, 1, u32(0)))))
# 6.4 RST_STREAM.
rule("6.4", "RST_STREAM on stream 0", Disconnected(PROTOCOL),
     frames(frame(RST_STREAM, 0, 0, u32(CANCEL))))
rule("6.4", "RST_STREAM of 3 bytes", Disconnected(SIZE),
     steps(half_closed, frames(frame(RST_STREAM, 0, 1, b"\0\0\0"))))
rule("6.4", "an unknown code", Alive(),
     steps(half_closed, frames(frame(RST_STREAM, 0, 1, u32(0xFF)))))
# 6.5 SETTINGS.
rule("6.5", "SETTINGS ACK with a payload", Disconnected(SIZE),
     frames(frame(SETTINGS, ACK, 0, b"\0")))
rule("6.5", "SETTINGS on a stream", Disconnected(PROTOCOL),
     frames(frame(SETTINGS, 0, 1, setting(3, 100))))
rule("6.5", "SETTINGS of 3 bytes", Disconnected(SIZE), frames(frame(SETTINGS, 0, 0, b"\0\3\0")))
rule("6.5.2", "ENABLE_PUSH of 2", Disconnected(PROTOCOL), settings(2, 2))
rule("6.5.2", "INITIAL_WINDOW_SIZE above its maximum", Disconnected(FLOW), settings(4, 0x80000000))
rule("6.5.2", "MAX_FRAME_SIZE below 2^14", Disconnected(PROTOCOL), settings(5, 16383))
rule("6.5.2", "MAX_FRAME_SIZE above 2^24-1", Disconnected(PROTOCOL), settings(5, 1 << 24))
rule("6.5.2", "INITIAL_WINDOW_SIZE and MAX_FRAME_SIZE at their maximum", Served(),
     steps(settings(4, 0x7FFFFFFF), settings(5, (1 << 24) - 1), request()))
rule("6.5.2", "HEADER_TABLE_SIZE of 0", Served(1, 3),
     steps(settings(1, 0), request(), request(stream=3)))
rule("6.5.2", "MAX_CONCURRENT_STREAMS of 0 is the server's to heed", Served(),
     steps(settings(3, 0), request()))
rule("6.5.2", "an unknown setting", Served(), steps(settings(0xFF, 1), request()))
rule("6.5.2", "ENABLE_CONNECT_PROTOCOL of 2 (RFC 8441 3)", Disconnected(PROTOCOL), settings(8, 2))
rule("6.5.2", "NO_RFC7540_PRIORITIES of 2 (RFC 9218 2.1)", Disconnected(PROTOCOL), settings(9, 2))
rule("6.5.3", "SETTINGS are acknowledged", Acknowledged(), frames(frame(SETTINGS) * 3))
rule("6.5.3", "the last of several values counts", Pieces(1),
     steps(frames(frame(SETTINGS, 0, 0, setting(4, 100) + setting(4, 1))), request()))
# 6.6 PUSH_PROMISE.
rule("6.6", "PUSH_PROMISE from a client", Disconnected(PROTOCOL),
     lambda p: p.raw(frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + p.encoder.encode(ROOT))))
# 6.7 PING.
rule("6.7", "PING is answered", Ponged(), frames(frame(PING, 0, 0, b"opaque!!")))
rule("6.7", "PING ACK is not answered", Ponged(),
     frames(frame(PING, ACK, 0, b"invalid!"), frame(PING, 0, 0, b"opaque!!")))
rule("6.7", "PING on a stream", Disconnected(PROTOCOL), frames(frame(PING, 0, 1, b"opaque!!")))
rule("6.7", "PING of 6 bytes", Disconnected(SIZE), frames(frame(PING, 0, 0, b"opaque")))
# 6.8 GOAWAY.
rule("6.8", "GOAWAY on a stream", Disconnected(PROTOCOL), frames(frame(GOAWAY, 0, 1, u32(0) * 2)))
rule("6.8", "GOAWAY of 7 bytes", Disconnected(SIZE), frames(frame(GOAWAY, 0, 0, bytes(7))))
rule("6.8", "what was asked before GOAWAY is answered", Served(last=True),
     steps(half_closed, frames(frame(GOAWAY, 0, 0, u32(0) * 2))))
rule("6.8", "GOAWAY with an unknown code", Served(last=True),
     steps(half_closed, frames(frame(GOAWAY, 0, 0, u32(0) + u32(0xFF)))))
# 6.9 WINDOW_UPDATE.
rule("6.9", "an increment of 0 on the connection", Disconnected(PROTOCOL), frames(window(0, 0)))
rule("6.9", "an increment of 0 on a stream", Reset(PROTOCOL),
     steps(half_closed, frames(window(1, 0))))
rule("6.9", "the reserved bit of an increment is ignored", Served(),
     steps(frames(window(0, 0x80000001)), request()))
rule("6.9", "WINDOW_UPDATE of 3 bytes", Disconnected(SIZE),
     frames(frame(WINDOW_UPDATE, 0, 0, b"\0\0\1")))
rule("6.9.1", "no more DATA than the window", Pieces(1), steps(settings(4, 1), request()))
rule("6.9.1", "the connection's window beyond its maximum", Disconnected(FLOW),
     frames(window(0, 0x7FFFFFFF) * 2))
rule("6.9.1", "a stream's window beyond its maximum", Reset(FLOW),
     steps(half_closed, frames(window(1, 0x7FFFFFFF) * 2)))
rule("6.9.2", "a window that grows by SETTINGS", Pieces(2),
     steps(settings(4, 0), request(), settings(4, 2)))
rule("6.9.2", "SETTINGS leave the connection's window alone", Served(),
     steps(settings(4, 0x7FFFFFFF), frames(window(0, 0x7FFFFFFF - 65535)), request()))
rule("6.9.2", "a window that becomes negative", Pieces(4),
     steps(settings(4, 3), request(), lambda p: p.wait(lambda: sum(p.data.get(1, [])) == 3),
     frames(frame(SETTINGS, 0, 0, setting(4, 1)), window(1, 2)), lambda p: p.lives(b"negative"),
     frames(window(1, 1))))
rule("6.9.2", "SETTINGS that lift a window beyond its maximum", Disconnected(FLOW),
     steps(half_closed,
     frames(window(1, 0x7FFFFFFF - 65535), frame(SETTINGS, 0, 0, setting(4, 65536)))))
# 6.10 CONTINUATION.


def in_pieces(pieces, end=True, stream=1):
    def play(peer):
        block = peer.encoder.encode([*ROOT, ("x-filler", "f" * 100)])
        size = -(-len(block) // pieces)
        parts = [block[at : at + size] for at in range(0, len(block), size)]
        for number, part in enumerate(parts):
            last = END_HEADERS if end and number == len(parts) - 1 else 0
            peer.raw(
                frame(
                    CONTINUATION if number else HEADERS,
                    last if number else END_STREAM,
                    stream,
                    part,
                )
            )

    return play


rule("6.10", "a block in two frames", Served(), in_pieces(2))
rule("6.10", "a block in five frames", Served(), in_pieces(5))
rule("6.10", "an empty CONTINUATION at the end", Served(),
     steps(in_pieces(2, end=False), frames(frame(CONTINUATION, END_HEADERS, 1))))
rule("6.10", "DATA behind HEADERS without END_HEADERS", Disconnected(PROTOCOL),
     steps(request(flags=0), frames(last_data(b"test"))))
rule("6.10", "CONTINUATION on stream 0", Disconnected(PROTOCOL),
     steps(request(flags=END_STREAM), frames(frame(CONTINUATION, END_HEADERS, 0, b""))))
rule("6.10", "CONTINUATION behind a whole block", Disconnected(PROTOCOL),
     steps(opened, frames(frame(CONTINUATION, END_HEADERS, 1, b"\x82"))))
rule("6.10", "CONTINUATION behind the last CONTINUATION", Disconnected(PROTOCOL, CLOSED),
     steps(in_pieces(2), frames(frame(CONTINUATION, END_HEADERS, 1, b"\x82"))))
rule("6.10", "CONTINUATION behind DATA", Disconnected(PROTOCOL),
     steps(opened,
     frames(frame(DATA, 0, 1, b"test"), frame(CONTINUATION, END_HEADERS, 1, b"\x82"))))
# 8 Messages.
MALFORMED = Reset(PROTOCOL, statuses=("400",))


def malformed(section, text, *fields):
    rule(section, text, MALFORMED, request(list(fields)))


METHOD, SCHEME, AUTHORITY, PATH = ROOT
rule("8.1", "HEAD", Served(), request([(":method", "HEAD"), *ROOT[1:]]))
rule("8.1", "POST with a body", Served(), steps(opened, frames(last_data(b"test"))))
rule("8.1", "POST with trailers", Served(),
     steps(opened, frames(frame(DATA, 0, 1, b"test")), request([("x-trailer", "1")])))
rule("8.1", "POST with trailers that are empty", Served(),
     steps(opened, frames(frame(DATA, 0, 1, b"test"), frame(HEADERS, 5, 1))))
rule("8.1", "POST with empty trailers in two frames", Served(),
     steps(opened, frames(frame(DATA, 0, 1, b"test"), frame(HEADERS, END_STREAM, 1),
     frame(CONTINUATION, END_HEADERS, 1))))
rule("8.1", "trailers without a body", Served(), steps(opened, request([("x-trailer", "1")])))
rule("8.1", "a request's head that is empty", MALFORMED, frames(frame(HEADERS, 5, 1)))
rule("8.1", "HEADERS behind trailers", Reset(CLOSED, PROTOCOL),
     steps(lambda p: p.head(fields=[*POST[:3], (":path", "/slow?ms=300")], flags=END_HEADERS),
     request([("x-trailer", "1")]), request([("x-trailer", "1")])))
rule("8.1", "HEADERS in the middle without END_STREAM", MALFORMED,
     steps(opened, frames(frame(DATA, 0, 1, b"test")),
     request([("x-trailer", "1")], flags=END_HEADERS), frames(last_data(b"test"))))
malformed("8.1", "a content-length without a body", (":method", "POST"), SCHEME, AUTHORITY, PATH,
     ("content-length", "4"))
rule("8.1.1", "less DATA than content-length", MALFORMED,
     steps(request([*POST, ("content-length", "10")], flags=END_HEADERS),
     frames(last_data(b"test"))))
rule("8.1.1", "more DATA than content-length", MALFORMED,
     steps(request([*POST, ("content-length", "5")], flags=END_HEADERS),
     frames(frame(DATA, 0, 1, b"test"), last_data(b"test"))))
malformed("8.1.1", "two values of content-length", (":method", "POST"), *ROOT[1:],
     ("content-length", "0"), ("content-length", "1"))
malformed("8.1.1", "a content-length that is no number", (":method", "POST"), *ROOT[1:],
     ("content-length", "-0"))
for bad in (b"X-Upper", b"x space", b"x:colon", b"", b"x\x7f", b"x\0", b"x\xe9"):
    rule(
        "8.2.1",
        f"a field named {bad!r}",
        MALFORMED,
        lambda p, bad=bad: p.raw(
            frame(HEADERS, 5, 1, p.encoder.encode(ROOT) + literal(bad, b"v"))
        ),
    )
for bad in (b"a\nb", b"a\rb", b"a\0b", b" a", b"a ", b"\ta", b"a\t"):
    rule(
        "8.2.1",
        f"a value of {bad!r}",
        MALFORMED,
        lambda p, bad=bad: p.raw(
            frame(HEADERS, 5, 1, p.encoder.encode(ROOT) + literal(b"x-v", bad))
        ),
    )
for name, value in (
    ("connection", "keep-alive"),
    ("proxy-connection", "close"),
    ("keep-alive", "1"),
    ("transfer-encoding", "chunked"),
    ("upgrade", "h2c"),
    ("te", "trailers, deflate"),
):
    malformed("8.2.2", f"{name}: {value}", *ROOT, (name, value))
rule("8.2.2", "te: trailers", Served(), request([*ROOT, ("te", "trailers")]))
rule("8.2.3", "cookie crumbs", Served(), request([*ROOT, ("cookie", "a=1"), ("cookie", "b=2")]))
malformed("8.3", "an unknown pseudo field", *ROOT, (":test", "1"))
malformed("8.3", "a response's pseudo field", *ROOT, (":status", "200"))
malformed("8.3", "a pseudo field behind a field", METHOD, SCHEME, AUTHORITY, ("x-test", "1"), PATH)
rule("8.3", "a pseudo field in trailers", MALFORMED,
     steps(opened, frames(frame(DATA, 0, 1, b"test")), request([(":method", "200")])))
malformed("8.3.1", "no :method", SCHEME, AUTHORITY, PATH)
malformed("8.3.1", "no :scheme", METHOD, AUTHORITY, PATH)
malformed("8.3.1", "no :path", METHOD, SCHEME, AUTHORITY)
malformed("8.3.1", "an empty :path", METHOD, SCHEME, AUTHORITY, (":path", ""))
malformed("8.3.1", "a :path without a slash", METHOD, SCHEME, AUTHORITY, (":path", "x"))
for field in ROOT:
    malformed("8.3.1", f"{field[0]} twice", *ROOT, field)
malformed("8.3.1", "host that is not :authority", *ROOT, ("host", "other.example"))
malformed("8.3.1", "userinfo in :authority", METHOD, SCHEME, (":authority", "me@rules.example"),
     PATH)
malformed("8.3.1", "a :path of * that is not for OPTIONS", METHOD, SCHEME, AUTHORITY,
     (":path", "*"))
rule("8.3.1", "OPTIONS *", Served(), request([(":method", "OPTIONS"), SCHEME, AUTHORITY,
     (":path", "*"), ("max-forwards", "0")]))
rule("8.3.1", "host in the place of :authority", Served(),
     request([METHOD, SCHEME, PATH, ("host", "rules.example")]))
rule("8.3.1", "host that is :authority", Served(), request([*ROOT, ("host", "rules.example")]))
malformed("8.3.1", "a :method that is no token", (":method", "GE T"), SCHEME, AUTHORITY, PATH)
malformed("8.3.1", "an empty :method", (":method", ""), SCHEME, AUTHORITY, PATH)
malformed("8.3.1", "a :path with a space", METHOD, SCHEME, AUTHORITY, (":path", "/a b"))
rule("8.3", "a pseudo field of a request in trailers", MALFORMED,
     steps(opened, frames(frame(DATA, 0, 1, b"test")), request([(":path", "/")])))
rule("8.2.1", "a field name in upper case in trailers", MALFORMED,
     steps(opened, frames(frame(DATA, 0, 1, b"test"),
     frame(HEADERS, 5, 1, literal(b"X-Upper", b"v")))))
rule("8.2.2", "connection in trailers", MALFORMED,
     steps(opened, frames(frame(DATA, 0, 1, b"test")), request([("connection", "close")])))
malformed("8.5", "CONNECT without :authority", (":method", "CONNECT"))
malformed("8.5", "CONNECT with a path", (":method", "CONNECT"), SCHEME, AUTHORITY, PATH)
# RFC 7541.


def block(*parts):
    return lambda p: p.raw(frame(HEADERS, 5, 1, b"".join(parts)))


GET_ROOT = b"\x82\x86\x84" + b"\x01\x01x"  # :authority x, literal
rule("7541 2.3.3", "an index beyond the tables", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\xc6"))
rule("7541 2.3.3", "a name's index beyond the tables", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\x7f\x07\1a"))
rule("7541 4.2", "a size update at the end of a block", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\x20"))
rule("7541 4.2", "a size update at the beginning", Served(), block(b"\x20", GET_ROOT))
rule("7541 4.2", "size updates to nothing and back", Served(),
     block(b"\x20\x3f\xe1\x1f", GET_ROOT))
rule("7541 5.1", "an integer without end", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\xff" + b"\x80" * 20))
rule("7541 5.2", "a string longer than the block", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\0\1a\x20b"))
rule("7541 5.2", "Huffman padding of more than 7 bits", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\0\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f\xff"))
rule("7541 5.2", "Huffman padding of zeros", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\0\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"))
rule("7541 5.2", "EOS in a Huffman string", Disconnected(COMPRESSION),
     block(GET_ROOT, b"\0\x88\xf2\xb2\x4a\x84\xff\xff\xff\xff\x83\x49\x50\x9f"))
rule("7541 6.1", "index 0", Disconnected(COMPRESSION), block(GET_ROOT, b"\x80"))
rule("7541 6.2", "literals of every kind", Served(),
     block(b"\x82\x86\x84", b"\x41\x01x", b"\x40\x03x-i\x01a", b"\x0f\x04\x01b",
     b"\x10\x03x-n\x01c", b"\xbe"))
rule("7541 6.2.1", "what was indexed is found", Served(1, 3),
     steps(block(b"\x82\x86\x84\x41\x01x\x40\x03x-i\x01a"),
     frames(frame(HEADERS, 5, 3, b"\x82\x86\x84\xbf\xbe"))))
rule("7541 6.3", "a size update above the limit", Disconnected(COMPRESSION),
     block(b"\x3f\xe2\x1f", GET_ROOT))


def judge(host, expected, play, preface):
    peer = Subject(host, preface=preface)
    if preface:
        peer.wait(lambda: peer.settings_acks >= 1)
    play(peer)
    if expected.met(peer):
        return None
    return (
        f"closed {peer.closed}, GOAWAY {peer.goaway}, resets {peer.reset}, statuses "
        f"{peer.statuses}, ended {sorted(peer.ended)}, DATA {peer.data}, pongs {len(peer.pongs)}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    passed, failed = 0, []
    for title, expected, play, preface in RULES:
        if options.patterns and not any(pattern in title for pattern in options.patterns):
            continue
        found = judge(options.host, expected, play, preface)
        if found is None:
            passed += 1
        else:
            failed.append({"rule": title, "expected": str(expected), "found": found})
    print(json.dumps({"passed": passed, "failed": failed}))


if __name__ == "__main__":
    sys.exit(main())
