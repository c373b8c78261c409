#!/usr/bin/python3
"""The XDP steering on a real interface: AF_XDP driver, kernel peers, crashes. Needs root.

dpdk-testpmd is the user-space side (it answers ARP and pings to whatever address it sees), and
tests/support/steer_tool.c is control/steer.h by hand. What is not steered must stay with the
edge's kernel. Exit status 77: something is missing here, the text says what.

Environment: WEIR_BUILD (the build directory).
"""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import (BACK4, CLIENT4, HOST4, HOST6, VIP4, VIP6, Lab, inside,  # noqa: E402
                    LabError, wait_until)

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", os.path.join(TREE, "build")))
OBJECT = os.path.join(BUILD, "dataplane", "xdp", "steer.bpf.o")
FOREIGN = os.path.join(BUILD, "tests", "support", "foreign.bpf.o")
TOOL = os.path.join(BUILD, "tests", "support", "steer_tool")
CHANNELS = os.path.join(BUILD, "tests", "support", "libveth_channels.so")
INTERFACE = "front"
QUEUES = 2
SKIPPED = 77


class Refused(Exception):
    """steer_tool answered with an error."""


class Tool:
    """A steer_tool process: the loader, holding the interface while it lives."""

    def __init__(self, lab):
        self.popen = subprocess.Popen(lab.argv("edge", [TOOL, INTERFACE]), text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.greeting = self.read()

    def read(self):
        line = self.popen.stdout.readline().strip()
        if not line.startswith("ok"):
            self.close()
            raise Refused(line)
        return line[3:]

    def ask(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        answer = self.popen.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise Refused(answer)
        return answer[3:]

    def counters(self):
        return {name: int(value) for name, value in
                (pair.split("=") for pair in self.ask("counters").split())}

    def close(self):
        """End of input: it detaches and lets the interface go."""
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        self.popen.stdout.close()
        return self.popen.wait(10)

    def kill(self):
        self.popen.kill()
        self.close()


def start_driver(lab, queues):
    """dpdk-testpmd on the interface with our program."""
    device = f"net_af_xdp0,iface={INTERFACE},start_queue=0,queue_count={queues},xdp_prog={OBJECT}"
    return lab.spawn("edge", [
        "dpdk-testpmd", "--no-huge", "--no-shconf", "--no-pci", "-m", 256, "--no-telemetry",
        "--lcores", "0@0,1@0", "--log-level", "pmd.net.af_xdp:debug", "--vdev", device, "--",
        "--forward-mode=icmpecho", f"--rxq={queues}", f"--txq={queues}",
        "--total-num-mbufs=16384", "--auto-start", "--stats-period=1"],
        "testpmd", env={"LD_PRELOAD": CHANNELS})


def driver_runs(driver):
    if not driver.alive():
        raise LabError(f"dpdk-testpmd ended:\n{driver.log_tail()}")
    return "NIC statistics" in driver.log()


class Steered:
    """Loader and driver, started in the order that a daemon has to follow."""

    def __init__(self, lab, *rules, queues=QUEUES):
        self.lab = lab
        self.tool = Tool(lab)
        self.driver = start_driver(lab, queues)
        wait_until(lambda: driver_runs(self.driver), 30, "dpdk-testpmd to forward")
        self.tool.ask("attach")
        for rule in rules:
            self.tool.ask(rule)
        self.tool.ask("apply")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        """Detach, then the sockets close, then the interface is given up."""
        try:
            if self.tool.popen.poll() is None:
                self.tool.ask("detach")
        finally:
            self.driver.stop()
            self.tool.close()

    def counted(self, name, at_least=1):
        """Waits until that many packets are counted; returns all counters."""
        wait_until(lambda: self.tool.counters()[name] >= at_least, 10,
                   f"{at_least} packets to be counted as {name}")
        return self.tool.counters()


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ping(lab, address, timeout_s=5.0):
    """Whether one echo request from the clients is answered."""
    with inside(lab, "clients"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sock:
        sock.settimeout(timeout_s)
        sock.connect((address, 0))
        body = struct.pack("!HH", os.getpid() & 0xffff, 1) + b"weir"
        sock.send(struct.pack("!BBH", 8, 0, checksum(b"\x08\0\0\0" + body)) + body)
        try:
            while True:
                packet = sock.recv(2048)
                if packet[20] == 0 and packet[24:] == body:
                    return True
        except TimeoutError:
            return False


def knock(lab, address, port):
    """A connection attempt, left open without waiting for an answer."""
    with inside(lab, "clients"):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.setblocking(False)
    sock.connect_ex((address, port))
    return sock


def transfer(lab, address, size=1_000_000):
    """Sends so many bytes from the clients to a server of the edge's kernel."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(lab, "edge"):
        server = socket.create_server((address, 0), family=family)
    with inside(lab, "clients"):
        client = socket.socket(family)
    data = bytes(range(256)) * (size // 256)
    received = bytearray()
    with server, client:
        client.settimeout(10)
        server.settimeout(10)
        client.connect(server.getsockname()[:2])
        peer, _ = server.accept()
        with peer:
            peer.settimeout(10)
            while len(received) < len(data):
                wanted = len(received) + client.send(data[len(received):len(received) + 32768])
                while len(received) < wanted:
                    received += peer.recv(65536)
    if received != data:
        raise AssertionError("the bytes changed on their way")


def link_has_program(lab):
    shown = lab.run("edge", ["ip", "link", "show", INTERFACE]).stdout.decode()
    return "prog/xdp" in shown


class Steering(unittest.TestCase):
    def setUp(self):
        self.lab = Lab(queues=QUEUES).build()
        self.addCleanup(self.lab.down)

    def test_without_rules_everything_stays_with_the_kernel(self):
        with Steered(self.lab) as steered:
            self.assertTrue(ping(self.lab, HOST4))
            for address in (HOST4, HOST6):
                transfer(self.lab, address)
            counters = steered.counted("passed")
            self.assertEqual(sum(counters.values()), counters["passed"])

    def test_the_vip_is_served_in_user_space_and_the_host_by_the_kernel(self):
        self.assertFalse(ping(self.lab, VIP4, timeout_s=0.5))
        with Steered(self.lab, f"vip {VIP4} 443", f"vip {VIP6} 443") as steered:
            self.assertTrue(ping(self.lab, VIP4))
            counters = steered.counted("redirected_echo")
            self.assertGreaterEqual(counters["redirected_neighbour"], 1)
            for address in (HOST4, HOST6):
                transfer(self.lab, address)
            with knock(self.lab, VIP4, 443):
                counters = steered.counted("redirected_tcp")
            self.assertGreater(counters["passed"], 100)

    def test_neighbour_solicitations_for_the_vip_reach_user_space(self):
        with Steered(self.lab, f"vip {VIP6} 443") as steered:
            with knock(self.lab, VIP6, 443):
                steered.counted("redirected_neighbour")
            transfer(self.lab, HOST6)

    def test_a_local_address_gets_every_port(self):
        with Steered(self.lab, f"local {VIP4}") as steered:
            self.assertTrue(ping(self.lab, VIP4))
            for count, port in enumerate((22, 443, 50123), start=1):
                with knock(self.lab, VIP4, port):
                    steered.counted("redirected_tcp", count)

    def test_a_denied_source_gets_nothing_from_us_and_everything_from_the_kernel(self):
        with Steered(self.lab, f"vip {VIP4} 443", f"deny {CLIENT4}/32") as steered:
            self.assertFalse(ping(self.lab, VIP4, timeout_s=0.5))
            self.assertEqual(steered.counted("dropped_denied")["redirected_echo"], 0)
            transfer(self.lab, HOST4)
            for line in ("clear", f"vip {VIP4} 443", "apply"):
                steered.tool.ask(line)
            self.assertTrue(ping(self.lab, VIP4))

    def test_every_queue_has_its_socket(self):
        with Steered(self.lab, f"vip {VIP4} 443") as steered:
            self.assertTrue(ping(self.lab, VIP4))
            with contextlib.ExitStack() as sockets:
                for _ in range(32):
                    sockets.enter_context(knock(self.lab, VIP4, 443))
                counters = steered.counted("redirected_tcp", 32)
            self.assertEqual(counters["dropped_no_socket"], 0)
            self.assertEqual(steered.driver.log().count("Busy polling budget set to: 64"), QUEUES)

    def test_queues_without_a_socket_drop_what_is_ours(self):
        with Steered(self.lab, f"vip {VIP4} 443", queues=1) as steered:
            self.lab.run("clients", ["ip", "neigh", "replace", VIP4, "lladdr",
                                     "02:00:00:00:00:01", "dev", "eth0"])
            with contextlib.ExitStack() as sockets:
                for _ in range(64):
                    sockets.enter_context(knock(self.lab, VIP4, 443))
                steered.counted("dropped_no_socket")
            transfer(self.lab, HOST4)

    def test_after_a_kill_the_kernel_keeps_its_traffic_and_a_restart_works(self):
        steered = Steered(self.lab, f"vip {VIP4} 443")
        self.assertTrue(ping(self.lab, VIP4))
        steered.driver.kill()
        steered.tool.kill()
        self.assertTrue(link_has_program(self.lab))
        self.assertFalse(ping(self.lab, VIP4, timeout_s=0.5))
        transfer(self.lab, HOST4)
        with Steered(self.lab, f"vip {VIP4} 443") as again:
            self.assertIn("that a killed process left", again.tool.greeting)
            self.assertTrue(ping(self.lab, VIP4))

    def test_a_second_one_is_refused_while_the_first_serves(self):
        with Steered(self.lab, f"vip {VIP4} 443") as steered:
            with self.assertRaisesRegex(Refused, f"process {steered.tool.popen.pid}"):
                Tool(self.lab)
            self.assertTrue(ping(self.lab, VIP4))

    def test_a_foreign_program_is_refused(self):
        self.lab.run("edge", ["ip", "link", "set", INTERFACE, "xdp", "obj", FOREIGN, "sec", "xdp"])
        with self.assertRaisesRegex(Refused, "'somebody'.*not Weir's"):
            Tool(self.lab)
        self.assertTrue(link_has_program(self.lab))
        self.lab.run("edge", ["ip", "link", "set", INTERFACE, "xdp", "off"])
        self.assertEqual(Tool(self.lab).close(), 0)

    def test_an_address_of_the_host_is_refused(self):
        with Steered(self.lab) as steered:
            steered.tool.ask(f"vip {HOST4} 443")
            with self.assertRaisesRegex(Refused, f"EADDRINUSE address {HOST4}.*{INTERFACE}"):
                steered.tool.ask("apply")
            for line in ("clear", f"local {BACK4}", f"vip {HOST6} 80"):
                steered.tool.ask(line)
            with self.assertRaisesRegex(Refused, f"EADDRINUSE address {HOST6}"):
                steered.tool.ask("apply")

    def test_after_detaching_everything_is_the_kernels(self):
        with Steered(self.lab, f"vip {VIP4} 443") as steered:
            self.assertTrue(ping(self.lab, VIP4))
            steered.tool.ask("detach")
            self.assertFalse(link_has_program(self.lab))
            self.assertFalse(ping(self.lab, VIP4, timeout_s=0.5))
            transfer(self.lab, HOST4)
            self.assertEqual(steered.driver.stop(), 0)

    def test_rules_change_while_traffic_flows(self):
        with Steered(self.lab, f"vip {VIP4} 443") as steered:
            for number in range(20):
                for line in ("clear", f"vip {VIP4} 443", f"vip {VIP4} {1000 + number}",
                             f"local 10.0.0.{100 + number}", f"deny 192.0.2.{number}/32", "apply"):
                    steered.tool.ask(line)
                self.assertTrue(ping(self.lab, VIP4))
            self.assertEqual(steered.tool.counters()["dropped_denied"], 0)


def missing():
    """What this machine lacks, or None."""
    if os.geteuid() != 0:
        return "root is needed for network namespaces and XDP"
    for tool in ("ip", "ethtool", "dpdk-testpmd"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    try:
        socket.socket(socket.AF_XDP if hasattr(socket, "AF_XDP") else 44, socket.SOCK_RAW).close()
    except OSError as error:
        return f"the kernel has no AF_XDP sockets: {error}"
    return None


if __name__ == "__main__":
    REASON = missing()
    if REASON:
        print(f"skipped: {REASON}")
        sys.exit(SKIPPED)
    unittest.main()
