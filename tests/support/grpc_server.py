#!/usr/bin/python3
"""A gRPC server for tests, on the C core of gRPC: messages are plain bytes.

    grpc_server.py --name NAME --port PORT --address ADDRESS [--address ADDRESS ...]

Service weir.test.Echo: Unary, ClientStream (answers with the number of bytes), ServerStream (the
request is a number: so many messages "0", "1", ...), Bidi (every message comes back at once), Slow
(like ServerStream with a message every 50 ms, without end), Fail (status and text from the request:
"5 not here"), Meta (request metadata comes back in leading and trailing metadata), Big (a message
of as many bytes as the request says), Hang (never answers), Calls (how many calls began here so
far, and how many of them the client cancelled). Until SIGTERM.
"""
import argparse
import signal
import threading
import time
from concurrent import futures

import grpc

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.so_reuseport", 0))


class Echo:
    def __init__(self, name):
        self.name = name.encode()
        self.lock = threading.Lock()
        self.begun = self.cancelled = 0

    def enter(self, context):
        with self.lock:
            self.begun += 1
        context.send_initial_metadata((("x-server", self.name.decode()),))
        done = threading.Event()
        context.add_callback(lambda: self.leave(done))
        return done

    def leave(self, done):
        if not done.is_set():
            with self.lock:
                self.cancelled += 1

    def unary(self, request, context):
        self.enter(context).set()
        return request

    def client_stream(self, requests, context):
        done = self.enter(context)
        total = sum(len(message) for message in requests)
        done.set()
        return str(total).encode()

    def server_stream(self, request, context):
        done = self.enter(context)
        for number in range(int(request)):
            yield str(number).encode()
        done.set()

    def bidi(self, requests, context):
        done = self.enter(context)
        yield from requests
        done.set()

    def slow(self, request, context):
        self.enter(context)
        number = 0
        while context.is_active():
            yield str(number).encode()
            number += 1
            time.sleep(0.05)

    def fail(self, request, context):
        self.enter(context).set()
        code, text = request.decode().split(" ", 1)
        code = next(each for each in grpc.StatusCode if each.value[0] == int(code))
        context.abort(code, text)

    def meta(self, request, context):
        with self.lock:
            self.begun += 1
        given = tuple((key, value) for key, value in context.invocation_metadata()
                      if key in ("x-one", "x-two-bin"))
        context.send_initial_metadata(given)
        context.set_trailing_metadata(tuple(("trail-" + key, value) for key, value in given))
        return request

    def big(self, request, context):
        self.enter(context).set()
        return bytes(int(request))

    def hang(self, request, context):
        self.enter(context)
        while context.is_active():
            time.sleep(0.02)
        return b""

    def calls(self, request, context):
        with self.lock:
            return f"{self.begun} {self.cancelled}".encode()

    def handlers(self):
        unary, streams = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return {
            "Unary": unary(self.unary), "Fail": unary(self.fail), "Meta": unary(self.meta),
            "Big": unary(self.big), "Hang": unary(self.hang), "Calls": unary(self.calls),
            "ServerStream": streams(self.server_stream), "Slow": streams(self.slow),
            "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
            "Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", action="append", required=True)
    arguments = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(64), options=OPTIONS)
    echo = Echo(arguments.name)
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("weir.test.Echo", echo.handlers()),))
    for address in arguments.address:
        host = f"[{address}]" if ":" in address else address
        if server.add_insecure_port(f"{host}:{arguments.port}") == 0:
            raise SystemExit(f"cannot listen at {host}:{arguments.port}")
    server.start()
    print("ready", flush=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    server.stop(0)


if __name__ == "__main__":
    main()
