#!/usr/bin/python3
"""Ports of net on real drivers: tap, af_packet, AF_XDP over veth, memif. Needs root.

tests/net/port_echo.c is the user-space side: it answers ARP, NDP and echo. The kernel of another
namespace asks. Exit status 77: something is missing here, the text says what.

Environment: WEIR_BUILD (the build directory).
"""
import contextlib
import os
import shutil
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import HOST4, Lab, LabError, wait_until, inside  # noqa: E402

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", os.path.join(TREE, "build")))
ECHO = os.path.join(BUILD, "tests", "net", "port_echo")
CHANNELS = os.path.join(BUILD, "tests", "support", "libveth_channels.so")
EAL = ["--no-huge", "--no-shconf", "--no-pci", "-m", 160, "--no-telemetry", "--lcores", "0@0",
       "--log-level=error"]
OURS4, OURS6 = "10.0.0.77", "fd00:a::77"
SKIPPED = 77


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff - total


def echoed(lab, name, address, count=20, size=1000):
    """How many of COUNT echo requests from a namespace's kernel are answered in full."""
    v6 = ":" in address
    family, protocol = ((socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6
                        else (socket.AF_INET, socket.IPPROTO_ICMP))
    with inside(lab, name):
        sock = socket.socket(family, socket.SOCK_RAW, protocol)
    answered = 0
    with sock:
        sock.settimeout(2)
        for sequence in range(count):
            body = bytes((sequence + i) & 0xff for i in range(size))
            header = struct.pack(">BBHHH", 128 if v6 else 8, 0, 0, os.getpid() & 0xffff, sequence)
            if not v6:
                header = header[:2] + struct.pack(">H", checksum(header + body)) + header[4:]
            sock.sendto(header + body, (address, 0))
            wanted = bytes([129 if v6 else 0]) + header[1:2], header[4:] + body
            with contextlib.suppress(TimeoutError):
                while True:
                    data = sock.recv(65536)
                    message = data if v6 else data[(data[0] & 15) * 4:]
                    if (message[:2], message[4:]) == wanted:
                        answered += 1
                        break
    return answered


def preload(library):
    """Sanitizers want to be told that something comes before their own libraries."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": library, "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}


class Ports(unittest.TestCase):
    """One lab for all; every case starts its own port_echo."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(prefix=f"weir-ports-{os.getpid()}", queues=2)
        cls.addClassCleanup(cls.lab.down)
        cls.lab.build()

    def use_queues(self, count):
        """Queues that the veth pair uses; XDP wants no fewer to receive than the peer sends on."""
        for namespace, interface in (("clients", "eth0"), ("edge", "front")):
            self.lab.run(namespace, ["ethtool", "-L", interface, "rx", count, "tx", count],
                         check=False)

    def start(self, device, *more, namespace="edge", env=None, v4=OURS4 + "/24", v6=OURS6 + "/64"):
        """A port_echo that is ready; stopped when the case ends."""
        process = self.lab.spawn(namespace, [ECHO, device, v4, v6, *more, "--", *EAL], "port_echo",
                                 env=env or {})
        self.addCleanup(process.stop)
        wait_until(lambda: self.is_ready(process), 30, "the port to come up")
        return process

    def is_ready(self, process):
        if not process.alive():
            raise LabError(f"port_echo ended:\n{process.log_tail()}")
        return "\nready " in "\n" + process.log()

    def refusal(self, device, *more):
        process = self.lab.spawn("edge", [ECHO, device, OURS4 + "/24", OURS6 + "/64", *more, "--",
                                          *EAL], "port_echo")
        self.assertEqual(process.wait(30), 1)
        return process.log()

    def assert_answers(self, namespace="clients", v4=OURS4, v6=OURS6):
        # The first may be lost while the drivers warm up, no more.
        self.assertGreaterEqual(echoed(self.lab, namespace, v4), 19)
        self.assertGreaterEqual(echoed(self.lab, namespace, v6), 19)

    def test_tap(self):
        self.start("net_tap0,iface=weirtap", v4="10.77.0.2/24", v6="fd77::2/64")
        for arguments in ("addr add 10.77.0.1/24 dev weirtap", "link set weirtap up",
                          "addr add fd77::1/64 dev weirtap nodad"):
            self.lab.run("edge", ["ip", *arguments.split()])
        self.assert_answers("edge", "10.77.0.2", "fd77::2")

    def test_af_packet(self):
        self.start("net_af_packet0,iface=front")
        self.assert_answers()

    def test_af_xdp(self):
        self.use_queues(1)
        self.start("net_af_xdp0,iface=front")
        self.assert_answers()

    def test_af_xdp_ends_cleanly_and_starts_again(self):
        self.use_queues(1)
        for _ in range(2):
            process = self.start("net_af_xdp0,iface=front")
            self.assert_answers()
            self.assertEqual(process.stop(), 0)
        # The driver took its program away: the kernel has its packets again.
        wait_until(lambda: echoed(self.lab, "clients", HOST4, count=1) == 1, 10,
                   "the host's own kernel to answer")

    def test_af_xdp_with_two_queues(self):
        self.use_queues(2)
        process = self.start("net_af_xdp0,iface=front,queue_count=2", 4096, 2,
                             env=preload(CHANNELS))
        self.assert_answers()
        self.assertEqual(process.stop(), 0)
        self.lab.run("edge", ["ip", "link", "set", "front", "xdp", "off"])

    def test_memif(self):
        device = f"net_memif0,socket-abstract=no,socket={self.lab.directory}/memif,role="
        self.start(device + "server")
        asker = self.lab.spawn("clients", [ECHO, device + "client", "10.0.0.78/24", "fd00:a::78/64",
                                           4096, 1, "ping", OURS4, "--", *EAL], "asker")
        self.assertEqual(asker.wait(30), 0, asker.log())
        self.assertIn("\nanswered", asker.log())

    def test_refusals_say_what_would_be_right(self):
        self.assertIn("set queue_count", self.refusal("net_af_xdp0,iface=front", 4096, 2))
        self.assertIn("needs at least 3072", self.refusal("net_af_xdp0,iface=front", 2000))
        self.assertIn("no driver takes this", self.refusal("net_af_xdp0,iface=nosuch"))


def missing():
    """What is not here, or None."""
    if os.geteuid() != 0:
        return "root"
    for program in ("ip", "ethtool"):
        if shutil.which(program) is None:
            return program
    for path in (ECHO, CHANNELS):
        if not os.path.exists(path):
            return path
    return None


if __name__ == "__main__":
    lacking = missing()
    if lacking:
        print(f"skipped, missing: {lacking}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
