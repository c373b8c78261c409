#!/usr/bin/python3
"""A backend that says byte for byte what it is told to: legal but odd answers, and illegal ones.

/NAME answers with ANSWERS[NAME] and closes only where the name is in CLOSES. /count: how many connections
it has had, and the heads of all requests, as JSON. With --tls a connection ends by close_notify, but for
"cut" ones.
"""
import argparse
import json
import socket
import ssl
import threading

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
ANSWERS = {
    # legal, some of it odd
    "good": OK + b"content-length: 4\r\n\r\ngood",
    "no-reason": b"HTTP/1.1 200\r\ncontent-length: 4\r\n\r\ngood",
    "case": OK + b"CoNtEnT-LeNgTh:4\r\n\r\ngood",
    "interim": b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 102 P\r\nx: y\r\n\r\n" + OK + b"content-length: 4\r\n\r\ngood",
    "extension": CHUNKED + b"2;a=\"b c\"\r\ngo\r\n002\r\nod\r\n0;z\r\n\r\n",
    "until-close": OK + b"\r\ngood",
    "until-cut": OK + b"\r\ngood",
    "old": b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\ngood",
    # illegal
    "obs-fold": OK + b"x: a\r\n b\r\ncontent-length: 4\r\n\r\ngood",
    "bare-lf": OK + b"content-length: 4\n\ngood",
    "bare-cr": OK + b"x: a\rb\r\ncontent-length: 4\r\n\r\ngood",
    "nul": OK + b"x: a\x00b\r\ncontent-length: 4\r\n\r\ngood",
    "space-colon": OK + b"content-length : 4\r\n\r\ngood",
    "two-lengths": OK + b"content-length: 4\r\ncontent-length: 5\r\n\r\ngood",
    "both": CHUNKED[:-2] + b"content-length: 4\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
    "gzip-chunked": OK + b"transfer-encoding: gzip, chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
    "huge-length": OK + b"content-length: 99999999999999999999\r\n\r\ngood",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    # broken in the middle, after the head has gone to the client
    "cut": OK + b"content-length: 400\r\n\r\n" + b"x" * 100,
    "cut-chunk": CHUNKED + b"64\r\n" + b"x" * 100,
    "bad-chunk": CHUNKED + b"4\r\ngood\r\nzz\r\n",
    # more than was asked for
    "smuggled": OK + b"content-length: 4\r\n\r\ngood" + OK + b"content-length: 4\r\n\r\nevil",
}
CLOSES = ("until-close", "until-cut", "cut", "cut-chunk")
LOCK = threading.Lock()
SEEN = {"connections": 0, "requests": []}


def read_head(connection, ahead):
    while b"\r\n\r\n" not in ahead:
        data = connection.recv(65536)
        if not data:
            return None, b""
        ahead += data
    head, _, rest = ahead.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def close_notify(connection):
    try:
        connection.settimeout(5)
        connection.unwrap()
    except OSError:
        pass


def serve(connection, options):
    with LOCK:
        SEEN["connections"] += 1
    ahead = b""
    try:
        connection = secured(connection, options)
    except OSError:
        return
    with connection:
        while True:
            head, ahead = read_head(connection, ahead)
            if head is None:
                return
            name = head.split(" ")[1].split("?")[0].rsplit("/", 1)[1]
            if name == "count":
                body = json.dumps(SEEN).encode()
                connection.sendall(OK + b"content-length: %d\r\n\r\n" % len(body) + body)
                continue
            with LOCK:
                SEEN["requests"].append(head)
            connection.sendall(ANSWERS.get(name, ANSWERS["good"]))
            if name in CLOSES:
                if options.tls and "cut" not in name:
                    close_notify(connection)
                return


def secured(connection, options):
    if not options.tls:
        return connection
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*options.tls)
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(connection, server_side=True)


def main():
    parser = argparse.ArgumentParser(description="odd HTTP/1.1 backend for tests")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", nargs=2, metavar=("CHAIN", "KEY"), help="only over TLS")
    options = parser.parse_args()
    listener = socket.create_server((options.address, options.port), backlog=256)
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], options), daemon=True).start()


if __name__ == "__main__":
    main()
