#!/usr/bin/python3
"""scripts/pktgen: Lua that Pktgen could read, pcap files that are what they say, and the same packets
at Weir over memif, sent by testpmd. Pktgen itself is not run. Needs no root.

Environment: WEIR_BUILD (the build directory).
"""
import glob
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
PKTGEN = os.path.join(TREE, "scripts", "pktgen")
sys.path.insert(0, os.path.join(TREE, "tests", "load"))
from memif_site import DAEMON, MemifSite, wait_until                       # noqa: E402

SKIPPED = 77
PROGRAMS = ("lua5.4", "luac5.4", "dpdk-testpmd")
MAC = "02:00:00:00:00:80"
TARGET, GATEWAY = "10.9.0.80", "10.9.0.1"
LIMITS = {"client_connections": 4096, "streams": 4096, "exchanges": 2048, "flights": 2048,
          "payload_bytes": "16MiB", "time_wait": 4096, "coalesce_keys": 4096}


def make(kind, path, *more, mac=MAC):
    subprocess.run([sys.executable, os.path.join(PKTGEN, "make_pcap.py"), kind, path, "--mac", mac,
                    "--target", TARGET, "--gateway", GATEWAY, *map(str, more)], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def packets(path):
    with open(path, "rb") as file:
        data = file.read()
    at, out = 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        out.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return out


class Scripts(unittest.TestCase):
    def test_lua_is_lua(self):
        for script in glob.glob(os.path.join(PKTGEN, "*.lua")):
            subprocess.run(["luac5.4", "-p", script], check=True)

    def test_scripts_call_what_pktgen_has(self):
        scripts = sorted(glob.glob(os.path.join(PKTGEN, "*.lua")))
        done = subprocess.run(["lua5.4", os.path.join(HERE, "pktgen_api.lua"), *scripts], cwd=TREE,
                              env={**os.environ, "REPLAY": "1"}, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(" pcap start delay stop "), 4)

    def test_a_name_pktgen_does_not_have_is_found(self):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write('pktgen.strat("0")\n')
            script.flush()
            done = subprocess.run(["lua5.4", os.path.join(HERE, "pktgen_api.lua"), script.name],
                                  capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no strat", done.stderr)


class Files(unittest.TestCase):
    def setUp(self):
        self.room = tempfile.TemporaryDirectory(prefix="weir-pcap-")
        self.addCleanup(self.room.cleanup)
        self.path = os.path.join(self.room.name, "file.pcap")

    def test_syns_are_syns_from_many(self):
        made = packets(make("syn", self.path, "--count", 500))
        self.assertEqual(len(made), 501)                # and the gateway's question
        self.assertEqual(made[0][12:14], b"\x08\x06")
        self.assertTrue(all(packet[47] == 2 for packet in made[1:]))    # flags
        self.assertGreater(len({packet[26:30] for packet in made[1:]}), 400)

    def test_the_same_seed_makes_the_same_file(self):
        first = packets(make("http2", self.path, "--count", 5, "--seed", 9))
        self.assertEqual(packets(make("http2", self.path, "--count", 5, "--seed", 9)), first)
        self.assertNotEqual(packets(make("http2", self.path, "--count", 5, "--seed", 8)), first)

    def test_sessions_are_whole(self):
        made = packets(make("http2", self.path, "--count", 1))[1:]
        self.assertEqual([packet[47] for packet in made], [2, 16, 24, 24, 24, 24, 17])
        preface = made[2][54:]
        self.assertTrue(preface.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        data = sum(len(packet) - 54 for packet in made[2:6])
        first, last = (struct.unpack_from("!I", made[i], 38)[0] for i in (2, 6))
        self.assertEqual((last - first) & 0xffffffff, data)


class Replay(unittest.TestCase):
    """What testpmd sends of them is counted by Weir under the names the documentation tells to read.

    testpmd ends in the middle of it, and Weir does not care (control/unmap.h)."""

    def setUp(self):
        self.site = MemifSite(limits=LIMITS)
        self.site.__enter__()
        self.sender = None
        self.addCleanup(self.site.stop)
        self.addCleanup(self.end_sender)        # first
        self.mac = next(port["mac"] for port in self.site.ctl("port", "list")["ports"]
                        if port["name"] == "front")
        self.before = self.site.counters()

    def end_sender(self):
        if self.sender is not None:
            os.killpg(self.sender.pid, signal.SIGTERM)
            self.sender.wait(30)
            self.site.ctl("status")

    def grown(self):
        after = self.site.counters()
        return {name: after[name] - self.before[name] for name in after}

    def send(self, kind):
        path = make(kind, os.path.join(self.site.directory, kind + ".pcap"), "--count", 200,
                    mac=self.mac)
        self.sender = subprocess.Popen(
            [os.path.join(PKTGEN, "replay"), path, self.site.path("front"), "60"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

    def expect(self, kind, *counted):
        """Sends until each of these, the sum where it is several, has grown; what all have by then."""
        self.send(kind)
        for names in counted:
            names = names if isinstance(names, tuple) else (names,)
            wait_until(lambda names=names: sum(self.grown()[name] for name in names) > 0, 30,
                       f"{kind} to be counted as {' or '.join(names)}")
        return self.grown()

    def test_syns_are_answered_and_keep_no_state(self):
        grown = self.expect("syn", "net.in_tcp_packets", "tcp.segments_out", "net.out_packets")
        self.assertEqual(grown["tcp.connections_accepted"], 0)

    def test_acks_of_nobody_are_refused(self):
        # Which way: whether cookies were given lately.
        grown = self.expect("ack", "net.in_tcp_packets", "tcp.resets_out",
                            ("tcp.segment_no_connection", "tcp.segment_bad_ack"))
        self.assertEqual(grown["tcp.connections_accepted"], 0)

    def test_echo_and_arp_are_answered_within_their_rate(self):
        self.expect("icmp-arp", "net.echo_answered", "net.echo_over_rate", "net.arp_answered")

    def test_replayed_sessions_do_not_get_past_the_handshake(self):
        grown = self.expect("http2", "net.in_tcp_packets", "tcp.resets_out")
        self.assertEqual(grown["tcp.connections_accepted"], 0)


if __name__ == "__main__":
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not os.path.exists(DAEMON):
        missing.append(DAEMON)
    if missing:
        print(f"skipped, missing: {', '.join(missing)}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
