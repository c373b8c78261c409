#!/usr/bin/python3
"""One gRPC call after the other through a proxy, on the C core of gRPC; see grpc_server.py.

    grpc_client.py TARGET CHECK [ARGUMENT]

Runs the named check and prints its result as one line of JSON; exit status 1 with the reason when
it fails.
"""
import json
import sys
import threading
import time

import grpc

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
PATIENCE_S = 30


class Failed(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Failed(what)


def kinds(channel):
    return {"unary": channel.unary_unary, "server": channel.unary_stream,
            "client": channel.stream_unary, "both": channel.stream_stream}


def method(channel, kind, name):
    return kinds(channel)[kind](f"/weir.test.Echo/{name}")


def check_unary(channel, _):
    call = method(channel, "unary", "Unary")
    for size in (0, 1, 100, 16384, 1 << 20):
        message = bytes(size)
        expect(call(message, timeout=PATIENCE_S) == message, f"{size} bytes came back changed")


def check_compressed(channel, _):
    call = method(channel, "unary", "Unary")
    message = bytes(100000)
    answer = call(message, timeout=PATIENCE_S, compression=grpc.Compression.Gzip)
    expect(answer == message, "a compressed message came back changed")


def check_big(channel, _):
    answer = method(channel, "unary", "Big")(str(50 << 20).encode(), timeout=PATIENCE_S)
    expect(len(answer) == 50 << 20, f"{len(answer)} bytes")
    answer = method(channel, "unary", "Unary")(bytes(20 << 20), timeout=PATIENCE_S)
    expect(len(answer) == 20 << 20, f"{len(answer)} bytes came back")


def check_client_stream(channel, _):
    pieces = [bytes(1000 + i) for i in range(500)]
    answer = method(channel, "client", "ClientStream")(iter(pieces), timeout=PATIENCE_S)
    expect(int(answer) == sum(map(len, pieces)), f"the server counted {answer}")


def check_server_stream(channel, _):
    answers = list(method(channel, "server", "ServerStream")(b"5000", timeout=PATIENCE_S))
    expect(answers == [str(i).encode() for i in range(5000)], f"{len(answers)} messages")


def check_bidi(channel, _):
    """Each message is sent when the one before has come back: nothing may be held up."""
    came = threading.Semaphore(1)

    def messages():
        for i in range(200):
            expect(came.acquire(timeout=PATIENCE_S), f"message {i - 1} did not come back")
            yield str(i).encode()

    seen = 0
    for answer in method(channel, "both", "Bidi")(messages(), timeout=PATIENCE_S):
        expect(answer == str(seen).encode(), f"{answer} instead of {seen}")
        seen += 1
        came.release()
    expect(seen == 200, f"{seen} of 200 messages came back")


def check_status(channel, _):
    call = method(channel, "unary", "Fail")
    for status in grpc.StatusCode:
        code = status.value[0]
        if code == 0:
            continue
        try:
            call(f"{code} reason number {code}: 100% \u00e4".encode(), timeout=PATIENCE_S)
            raise Failed(f"status {status} did not arrive")
        except grpc.RpcError as error:
            expect(error.code() == status, f"{error.code()} instead of {status}")
            expect(error.details() == f"reason number {code}: 100% \u00e4",
                   f"the text was {error.details()!r}")


def check_metadata(channel, _):
    given = (("x-one", "a b"), ("x-two-bin", bytes(range(256))), ("x-one", "again"))
    _, call = method(channel, "unary", "Meta").with_call(b"", metadata=given, timeout=PATIENCE_S)
    leading = [(key, value) for key, value in call.initial_metadata() if key in dict(given)]
    trailing = [(key, value) for key, value in call.trailing_metadata() if key[:5] == "trail"]
    expect(sorted(leading) == sorted(given), f"leading metadata {leading}")
    expect(sorted(trailing) == sorted(("trail-" + key, value) for key, value in given),
           f"trailing metadata {trailing}")


def check_deadline(channel, _):
    begin = time.monotonic()
    try:
        method(channel, "unary", "Hang")(b"", timeout=0.5)
        raise Failed("a call to a server that hangs came back")
    except grpc.RpcError as error:
        expect(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, str(error.code()))
    expect(time.monotonic() - begin < 20, "the deadline came very late")


def check_cancel(channel, count):
    """So many streams are begun, read a little and cancelled."""
    for _ in range(int(count)):
        answers = method(channel, "server", "Slow")(b"", timeout=PATIENCE_S)
        expect(next(answers) == b"0" and next(answers) == b"1", "the stream began wrong")
        answers.cancel()


def check_many(channel, count):
    """Calls side by side on one connection."""
    call = method(channel, "unary", "Unary")
    calls = [call.future(str(i).encode(), timeout=PATIENCE_S) for i in range(int(count))]
    for i, each in enumerate(calls):
        expect(each.result() == str(i).encode(), f"call {i} was answered with {each.result()!r}")


def check_under_way(channel, seconds):
    """Calls one after the other; how they ended, by name of their status."""
    call = method(channel, "unary", "Unary")
    ends = {}
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        try:
            expect(call(b"x" * 100, timeout=PATIENCE_S) == b"x" * 100, "a wrong answer")
            name = "OK"
        except grpc.RpcError as error:
            name = f"{error.code().name}: {error.details()}"
        ends[name] = ends.get(name, 0) + 1
    return ends


def main():
    target, check, argument = sys.argv[1], sys.argv[2], (sys.argv[3:] or [None])[0]
    with grpc.insecure_channel(target, options=OPTIONS) as channel:
        try:
            result = globals()["check_" + check](channel, argument)
        except (Failed, grpc.RpcError) as error:
            sys.exit(f"{check}: {error}")
    print(json.dumps(result or {}))


if __name__ == "__main__":
    main()
