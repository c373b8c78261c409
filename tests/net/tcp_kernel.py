#!/usr/bin/python3
"""Our TCP against the Linux kernel's, both roles, IPv4 and IPv6, over AF_XDP. Needs root.

tests/support/tcp_peer.c is our side. The kernel of another namespace is the other one. Exit status
77: something is missing here, the text says what.

Environment: WEIR_BUILD (the build directory), WEIR_TCP_MB (size of the large transfers, 100).
"""
import asyncio
import concurrent.futures
import contextlib
import ctypes
import errno
import hashlib
import os
import re
import shutil
import socket
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import CLIENT4, CLIENT6, Lab, LabError, wait_until             # noqa: E402

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", os.path.join(TREE, "build")))
PEER = os.path.join(BUILD, "tests", "support", "tcp_peer")
EAL = ["--no-huge", "--no-shconf", "--no-pci", "-m", 320, "--no-telemetry", "--lcores", "0@0",
       "--log-level=error"]
OURS4, OURS6 = "10.0.0.77", "fd00:a::77"
ECHO, SWALLOW, PATTERN, RESET = 7, 9, 19, 66
LARGE = int(os.environ.get("WEIR_TCP_MB", "100")) << 20
CLONE_NEWNET = 0x40000000
SKIPPED = 77


@contextlib.contextmanager
def inside(lab, name):
    """Sockets that this thread makes here belong to the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", encoding="ascii") as home, \
            open(f"/run/netns/{lab.ns(name)}", encoding="ascii") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


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


class Kernel(unittest.TestCase):
    """One lab for all; every case has its own tcp_peer."""

    device = "net_af_xdp0,iface=front"

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(prefix=f"weir-tcp-{os.getpid()}")
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

    def test_echo_of_all_sizes(self):
        process = self.serve()
        for address in (OURS4, OURS6):
            for size in (1, 2, 1447, 1448, 1449, 2896, 65535, 65536, 1 << 20):
                data = os.urandom(size)
                with connect(self.lab, address, ECHO) as sock:
                    self.assertEqual(echoed(sock, data), sha256(data))
                    self.assertEqual(sock.recv(1), b"")
        self.wait_for_no_connection("clients")
        self.assert_quiet(self.counters(process))

    def wait_for_no_connection(self, name):
        def none():
            out = self.lab.run(name, ["ss", "-tnaH", "state", "connected", "exclude",
                                      "time-wait"]).stdout.decode()
            return not out.strip()
        wait_until(none, 20, "the kernel's connections to end")

    def test_large_from_us(self):
        process = self.serve()
        expected = sha256(pattern(LARGE))
        for address in (OURS4, OURS6):
            with connect(self.lab, address, PATTERN) as sock:
                sock.sendall(struct.pack(">Q", LARGE))
                self.assertEqual(read_exactly(sock, LARGE), expected)
                self.assertEqual(sock.recv(1), b"")
        self.wait_for_no_connection("clients")
        counters = self.counters(process)
        self.assert_quiet(counters)

    def test_large_to_us(self):
        process = self.serve()
        data = bytes(1 << 20)
        for address in (OURS4, OURS6):
            with connect(self.lab, address, SWALLOW) as sock:
                for _ in range(LARGE >> 20):
                    sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                self.assertEqual(sock.recv(1), b"")
        self.wait_for_no_connection("clients")
        counters = self.counters(process)
        self.assert_quiet(counters)
        self.assertEqual(counters["tcp.bytes_in"], 2 * (LARGE >> 20 << 20))

    def test_large_echo(self):
        process = self.serve()
        data = os.urandom(LARGE // 4)
        with connect(self.lab, OURS4, ECHO) as sock:
            self.assertEqual(echoed(sock, data), sha256(data))
        self.wait_for_no_connection("clients")
        self.assert_quiet(self.counters(process))

    def test_a_client_that_reads_late_stops_us_and_we_stop_it(self):
        process = self.serve()
        data = os.urandom(24 << 20)
        with connect(self.lab, OURS4, ECHO, receive_buffer=20000) as sock:
            sock.settimeout(2)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < len(data):
                    sent += sock.send(data[sent:sent + 65536])
            self.assertLess(sent, len(data), "our window never shut")
            sock.settimeout(60)
            self.assertEqual(read_exactly(sock, sent), sha256(data[:sent]))
        self.wait_for_no_connection("clients")
        counters = self.counters(process)
        self.assertIn("tcp.zero_window_probes", counters)
        self.assertEqual(counters["connections"], 0)

    def test_many_connections(self):
        process = self.serve()
        def one(index):
            data = os.urandom(1 + index % 3000)
            with connect(self.lab, (OURS4, OURS6)[index % 2], ECHO) as sock:
                return echoed(sock, data, shut=index % 3 == 0) == sha256(data)
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            self.assertTrue(all(pool.map(one, range(3000))))
        self.wait_for_no_connection("clients")
        counters = self.counters(process)
        self.assert_quiet(counters)
        self.assertEqual(counters["tcp.connections_accepted"], 3000)

    def test_our_reset_is_seen(self):
        process = self.serve()
        for address in (OURS4, OURS6):
            with connect(self.lab, address, RESET) as sock:
                sock.sendall(bytes(1000))
                with self.assertRaises(ConnectionResetError):
                    sock.recv(1)
        self.assert_quiet(self.counters(process))

    def test_the_kernels_reset_is_believed(self):
        process = self.serve()
        for address in (OURS4, OURS6):
            sock = connect(self.lab, address, PATTERN)
            sock.sendall(struct.pack(">Q", 1 << 30))
            read_exactly(sock, 1 << 20)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        # What comes after the reset is answered by more of them; then all is silent.
        wait_until(lambda: self.is_silent(), 20, "our side to fall silent")
        counters = self.counters(process)
        self.assertEqual(counters["connections"], 0)
        self.assertEqual(counters["tcp.connections_reset"], 2)

    def is_silent(self):
        def packets():
            path = "/sys/class/net/eth0/statistics/rx_packets"
            return int(self.lab.run("clients", ["cat", path]).stdout)
        before = packets()
        threading.Event().wait(0.5)
        return packets() - before < 5

    def test_a_closed_port_refuses(self):
        self.serve()
        for address in (OURS4, OURS6):
            with self.assertRaises(OSError) as caught:
                connect(self.lab, address, 81)
            self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)

    def test_what_the_kernel_negotiated(self):
        self.serve()
        with connect(self.lab, OURS4, PATTERN) as sock:
            sock.sendall(struct.pack(">Q", 1 << 20))
            read_exactly(sock, 1 << 20)
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        options, = struct.unpack_from("B", info, 5)
        mss, = struct.unpack_from("I", info, 16)
        retransmitted, = struct.unpack_from("I", info, 100)
        self.assertEqual(options & 7, 7, "timestamps, SACK, window scale")
        self.assertEqual(mss, 1448)
        self.assertEqual(retransmitted, 0)

    def connect_from_us(self, address, connections, size, parallel, lossy=None):
        server = Echo(self.lab, address)
        self.addCleanup(server.stop)
        process = self.spawn("connect", address, server.port, connections, size, parallel,
                             lossy=lossy)
        process.wait(120)
        self.assertIn(f"\ndone {connections} 0 0\n", "\n" + process.log())
        return process

    def test_we_connect(self):
        for address in (CLIENT4, CLIENT6):
            for size in (1, 1448, 65536, 1 << 20):
                self.connect_from_us(address, 3, size, 2)

    def test_we_connect_and_move_much(self):
        self.connect_from_us(CLIENT6, 1, LARGE // 4, 1)

    def test_we_connect_often(self):
        self.connect_from_us(CLIENT4, 5000, 100, 64)

    def test_a_closed_port_of_the_kernel_refuses_us(self):
        process = self.spawn("connect", CLIENT4, 1, 5, 10, 5)
        process.wait(30)
        self.assertIn("\ndone 0 5 0\n", "\n" + process.log())

    def sysctl(self, setting):
        self.lab.run("clients", ["sysctl", "-qw", setting])

    def test_without_options(self):
        names = ("tcp_timestamps", "tcp_sack", "tcp_window_scaling")
        for off in (*((name,) for name in names), names):
            for name in names:
                self.sysctl(f"net.ipv4.{name}={0 if name in off else 1}")
                self.addCleanup(self.sysctl, f"net.ipv4.{name}=1")
            process = self.serve()
            data = os.urandom(1 << 20)
            with connect(self.lab, OURS4, ECHO) as sock:
                self.assertEqual(echoed(sock, data), sha256(data))
            self.wait_for_no_connection("clients")
            self.assert_quiet(self.counters(process))

    def echo_over_a_bad_line(self, drop_ppm, duplicate_ppm, reorder_ppm, delay_us, off=()):
        """4 MiB there and back; what is wrong, is wrong in both directions."""
        for name in off:
            self.sysctl(f"net.ipv4.{name}=0")
            self.addCleanup(self.sysctl, f"net.ipv4.{name}=1")
        process = self.serve(lossy=f"{drop_ppm} {duplicate_ppm} {reorder_ppm} {delay_us} 1")
        data = os.urandom(4 << 20)
        for address in (OURS4, OURS6):
            with connect(self.lab, address, ECHO, timeout_s=120) as sock:
                self.assertEqual(echoed(sock, data), sha256(data))
        self.wait_for_no_connection("clients")
        counters = self.counters(process)
        self.assertEqual(counters["connections"], 0)
        return counters

    def test_loss(self):
        counters = self.echo_over_a_bad_line(20000, 0, 0, 2000)
        self.assertGreater(counters["tcp.recoveries"], 10)
        self.assertLess(counters.get("tcp.retransmit_timeouts", 0), counters["tcp.recoveries"])
        self.assertIn("tcp.segment_out_of_order", counters)

    def test_loss_without_sack(self):
        counters = self.echo_over_a_bad_line(10000, 0, 0, 2000, off=("tcp_sack",))
        self.assertGreater(counters["tcp.recoveries"], 10)

    def test_reordering_and_duplicates(self):
        counters = self.echo_over_a_bad_line(0, 50000, 50000, 2000)
        self.assertIn("tcp.segment_out_of_order", counters)
        self.assertIn("tcp.segment_duplicate", counters)

    def test_loss_without_any_option(self):
        self.echo_over_a_bad_line(10000, 10000, 10000, 1000,
                                  off=("tcp_sack", "tcp_timestamps", "tcp_window_scaling"))

    def test_we_connect_over_a_bad_line(self):
        for address in (CLIENT4, CLIENT6):
            self.connect_from_us(address, 20, 300000, 5, lossy="20000 10000 10000 2000 1")


def missing():
    """What is not here, or None."""
    if os.geteuid() != 0:
        return "root"
    for program in ("ip", "ethtool", "ss"):
        if shutil.which(program) is None:
            return program
    return None if os.path.exists(PEER) else PEER


if __name__ == "__main__":
    lacking = missing()
    if lacking:
        print(f"skipped, missing: {lacking}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
