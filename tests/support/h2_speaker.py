#!/usr/bin/python3
"""h2_speaker.py --address A --port P --tls CERTIFICATE KEY --mode first|last

HTTP/2 over TLS 1.2, where a server's handshake ends last: `first` says its SETTINGS in the packet
of its Finished, before anything of the client has come; `last` says nothing until it has read the
client's. Each request is answered 204.
"""
import argparse
import socket
import ssl
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, PING = 1, 4, 6
ACK, END = 1, 5                        # END_STREAM and END_HEADERS
STATUS_204 = b"\x89"                   # RFC 7541 A


def frame(kind, flags=0, stream=0, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") +
            payload)


class Connection:
    def __init__(self, context, plain, first):
        self.plain, self.first = plain, first
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_side=True)

    def do(self, step):
        """STEP's result; what it has to say goes out when it wants more, so in one piece."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                more = self.plain.recv(65536)
                if not more:
                    raise EOFError
                self.came.write(more)

    def flush(self):
        if self.goes.pending:
            self.plain.sendall(self.goes.read())

    def read(self, count):
        taken = b""
        while len(taken) < count:
            taken += self.do(lambda: self.tls.read(count - len(taken)))
        return taken

    def answer(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self.tls.write(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.tls.write(frame(PING, ACK, 0, payload))
        elif kind == HEADERS:
            self.tls.write(frame(HEADERS, END, stream, STATUS_204))

    def serve(self):
        self.do(self.tls.do_handshake)
        if self.first:
            self.tls.write(frame(SETTINGS))
        assert self.read(len(PREFACE)) == PREFACE
        said = self.first
        while True:
            head = self.read(9)
            payload = self.read(int.from_bytes(head[:3], "big"))
            if not said:
                self.tls.write(frame(SETTINGS))
                said = True
            self.answer(head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    def run(self):
        try:
            self.serve()
        except (EOFError, OSError, ssl.SSLError):
            self.plain.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", nargs=2, required=True)
    parser.add_argument("--mode", choices=("first", "last"), required=True)
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*options.tls)
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server((options.address, options.port))
    while True:
        plain, _ = listener.accept()
        connection = Connection(context, plain, options.mode == "first")
        threading.Thread(target=connection.run, daemon=True).start()


if __name__ == "__main__":
    main()
