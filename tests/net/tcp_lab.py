"""What tests of our TCP against the kernel's share: a lab, our side (tests/support/tcp_peer.c), the
kernel's side as sockets inside the lab's namespaces, and the counters of ours.

Environment: WEIR_BUILD (the build directory), WEIR_TCP_MB (size of the large transfers, 100).
"""
import asyncio
import concurrent.futures
import contextlib
import hashlib
import os
import re
import shutil
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import Lab, LabError, wait_until, inside  # noqa: E402

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", os.path.join(TREE, "build")))
PEER = os.path.join(BUILD, "tests", "support", "tcp_peer")
EAL = ["--no-huge", "--no-shconf", "--no-pci", "-m", 320, "--no-telemetry", "--lcores", "0@0",
       "--log-level=error"]
OURS4, OURS6 = "10.0.0.77", "fd00:a::77"
ECHO, SWALLOW, PATTERN, RESET = 7, 9, 19, 66
LARGE = int(os.environ.get("WEIR_TCP_MB", "100")) << 20
SKIPPED = 77


def pattern(length):
    """The bytes of tcp_peer's pattern: they repeat after 2^32 positions, and are made in blocks."""
    try:
        import numpy
        positions = numpy.arange(length, dtype=numpy.uint32)
        return ((positions * numpy.uint32(2654435761)) >> numpy.uint32(24)).astype(
            numpy.uint8).tobytes()
    except ImportError:
        return bytes((position * 2654435761 & 0xffffffff) >> 24 for position in range(length))


class Echo:
    """An echo server of the kernel's TCP in a namespace."""

    def __init__(self, lab, address):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: None)
        with inside(lab, "clients"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self.listener = socket.create_server((address, 0), family=family, backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 18):
                writer.write(data)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self.serve, sock=self.listener))
        self.loop.run_forever()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
        self.listener.close()


def connect(lab, address, port, receive_buffer=None, timeout_s=60):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(lab, "clients"):
        sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout_s)
    try:
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def read_exactly(sock, length):
    digest, left = hashlib.sha256(), length
    while left > 0:
        data = sock.recv(min(left, 1 << 18))
        if not data:
            raise LabError(f"end of stream, {left} bytes are missing")
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def echoed(sock, data, shut=True):
    """Sends DATA while reading it back; the digest of what came."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_exactly, sock, len(data))
        sock.sendall(data)
        if shut:
            sock.shutdown(socket.SHUT_WR)
        return reading.result()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class TcpCase(unittest.TestCase):
    """One lab for all; every case has its own tcp_peer."""

    device = "net_af_xdp0,iface=front"
    line = False  # whether a bad line is between the two

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(prefix=f"weir-tcp-{os.getpid()}", line=cls.line)
        cls.addClassCleanup(cls.lab.down)
        cls.lab.build()

    def spawn(self, *what, lossy=None):
        process = self.lab.spawn("edge", [PEER, self.device, OURS4 + "/24", OURS6 + "/64", *what,
                                          "--", *EAL], "tcp_peer",
                                 env={"WEIR_LOSSY": lossy} if lossy else None)
        self.addCleanup(process.stop)
        return process

    def serve(self, lossy=None):
        process = self.spawn("serve", lossy=lossy)
        wait_until(lambda: self.has_line(process, "ready"), 30, "tcp_peer to be ready")
        return process

    @staticmethod
    def has_line(process, line):
        if not process.alive():
            raise LabError(f"tcp_peer ended:\n{process.log_tail()}")
        return f"\n{line}\n" in "\n" + process.log()

    def counters(self, process):
        """Ends it and reads what it counted."""
        self.assertEqual(process.stop(), 0, process.log_tail())
        return {name: int(value) for name, value in
                re.findall(r"^((?:net|tcp)\.\w+|connections|time_wait) (\d+)", process.log(),
                           re.MULTILINE)}

    def assert_quiet(self, counters):
        """No connection is left and nothing was dropped that should not have been."""
        self.assertEqual(counters["connections"], 0, counters)
        for name in ("segment_malformed", "segment_bad_options", "segment_bad_flags",
                     "reassembly_full", "sack_blocks_invalid", "segment_paws"):
            self.assertNotIn("tcp." + name, counters)

    def wait_for_no_connection(self, name):
        """Those to our services. Our own ones may have left peers behind that missed a last ACK."""
        def none():
            out = self.lab.run(name, ["ss", "-tnaH", "state", "connected", "exclude",
                                      "time-wait", "dport", "<", ":1024"]).stdout.decode()
            return not out.strip()
        wait_until(none, 20, "the kernel's connections to end")

    def connect_from_us(self, address, connections, size, parallel, lossy=None):
        server = Echo(self.lab, address)
        self.addCleanup(server.stop)
        process = self.spawn("connect", address, server.port, connections, size, parallel,
                             lossy=lossy)
        process.wait(120)
        self.assertIn(f"\ndone {connections} 0 0\n", "\n" + process.log())
        return process

    def sysctl(self, setting):
        self.lab.run("clients", ["sysctl", "-qw", setting])


def missing():
    """What is not here, or None."""
    if os.geteuid() != 0:
        return "root"
    for program in ("ip", "ethtool", "ss"):
        if shutil.which(program) is None:
            return program
    return None if os.path.exists(PEER) else PEER


def main():
    lacking = missing()
    if lacking:
        print(f"skipped, missing: {lacking}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
