#!/usr/bin/python3
"""tls_resume.py ADDRESS CA COUNT [PATH]: connections by TLS 1.3, one after the other, each with the
ticket of the one before and one request over HTTP/2 (RFC 9113). One more comes first, to get a ticket.
Prints {"resumed": those whose session was resumed and whose request was answered}.
"""
import json
import socket
import ssl
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, DATA = 4, 1, 0
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def get(authority, path):
    """A request in one header block: indexed fields, and literals that are not (RFC 7541 6)."""
    block = b"\x82\x87"
    for name, value in ((b"\x04", path.encode()), (b"\x01", authority.encode())):
        block += name + bytes((len(value),)) + value
    return frame(HEADERS, END_STREAM | END_HEADERS, 1, block)


def exactly(tls, count):
    out = b""
    while len(out) < count:
        part = tls.recv(count - len(out))
        if not part:
            raise EOFError("the connection ended before the answer")
        out += part
    return out


def await_answer(tls):
    """Until the stream ends, well: the head's first field is :status 200 by its index."""
    good = False
    while True:
        head = exactly(tls, 9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        payload = exactly(tls, int.from_bytes(head[:3], "big"))
        if stream != 1:
            continue
        if kind not in (HEADERS, DATA):
            raise ValueError(f"a frame of type {kind}")
        good = good or kind == HEADERS and b"\x88" in payload[:8]
        if flags & END_STREAM:
            return good


def ask(context, address, session, request):
    """(the session to come back with, whether it was resumed and answered)"""
    plain = socket.create_connection((address, 443), 10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(plain, server_hostname=address, session=session) as tls:
        tls.sendall(request)
        good = await_answer(tls)
        return tls.session, good and tls.session_reused


def main():
    address, ca, count, *path = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    request = PREFACE + frame(SETTINGS, 0, 0) + get(address, path[0] if path else "/")
    session, _ = ask(context, address, None, request)
    resumed = 0
    for _ in range(int(count)):
        session, good = ask(context, address, session, request)
        resumed += good
    print(json.dumps({"resumed": resumed}))


if __name__ == "__main__":
    main()
