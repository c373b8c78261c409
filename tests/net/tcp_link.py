#!/usr/bin/python3
"""Our TCP against the Linux kernel's over a link that loses, reorders, repeats, delays and damages
packets in both directions (tests/support/bad_line.c). Needs root.

Every case moves data both ways at once over connections opened by the kernel, IPv4 and IPv6, and
over connections opened by us; all of it is checked by digest or byte for byte. Exit status 77:
something is missing here, the text says what.
"""
import concurrent.futures
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import CLIENT4, CLIENT6                                        # noqa: E402
from tcp_lab import (ECHO, OURS4, OURS6, PATTERN, TcpCase, connect, echoed, main,  # noqa: E402
                     pattern, read_exactly, sha256)
from tcp_lab import BUILD                                                  # noqa: E402

BAD_LINE = os.path.join(BUILD, "tests", "support", "bad_line")
KIB, MIB = 1 << 10, 1 << 20
PATIENCE_S = 120


class Link(TcpCase):
    """Delays are one way: a round trip takes twice as long."""

    line = True

    def spoil(self, **settings):
        line = self.lab.spoil(BAD_LINE, **settings)
        self.addCleanup(line.stop)
        return line

    def line_facts(self, line):
        line.stop()
        return {name: int(value) for name, value in
                (words.split() for words in line.log().splitlines() if words != "ready")}

    def echo(self, address, data):
        with connect(self.lab, address, ECHO, timeout_s=PATIENCE_S) as sock:
            return echoed(sock, data) == sha256(data) and sock.recv(1) == b""

    def fetch(self, address, length):
        with connect(self.lab, address, PATTERN, timeout_s=PATIENCE_S) as sock:
            sock.sendall(struct.pack(">Q", length))
            return read_exactly(sock, length) == sha256(pattern(length)) and sock.recv(1) == b""

    def pass_over(self, length, **settings):
        """What our side counted, and the line, after LENGTH bytes on every way."""
        line = self.spoil(**settings)
        process = self.serve()
        data = os.urandom(length)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            echoes = [pool.submit(self.echo, address, data) for address in (OURS4, OURS6)]
            fetches = [pool.submit(self.fetch, address, length) for address in (OURS4, OURS6)]
            for job in (*echoes, *fetches):
                self.assertTrue(job.result())
        self.wait_for_no_connection("clients")
        counters = self.counters(process)
        self.assertEqual(counters["connections"], 0, counters)
        for address in (CLIENT4, CLIENT6):
            self.connect_from_us(address, 4, length // 4, 4)
        return counters, self.line_facts(line)

    def test_a_thousandth_is_lost(self):
        _, line = self.pass_over(4 * MIB, drop_ppm=1000, delay_us=5000)
        self.assertGreater(line["dropped"], 0)

    def test_a_hundredth_is_lost_at_50_ms(self):
        counters, line = self.pass_over(1 * MIB, drop_ppm=10000, delay_us=25000)
        self.assertGreater(line["dropped"], 0)
        self.assertGreater(counters["tcp.segments_retransmitted"], 0)

    def test_a_tenth_is_lost(self):
        counters, _ = self.pass_over(128 * KIB, drop_ppm=100000, delay_us=2000)
        self.assertGreater(counters["tcp.segments_retransmitted"], 0)

    def test_losses_come_in_bursts(self):
        counters, _ = self.pass_over(1 * MIB, burst_ppm=2000, burst_frames=8, delay_us=5000)
        self.assertGreater(counters["tcp.segments_retransmitted"], 0)

    def test_frames_overtake_each_other(self):
        counters, line = self.pass_over(2 * MIB, reorder_ppm=50000, reorder_us=3000, delay_us=5000)
        self.assertGreater(line["reordered"], 0)
        self.assertIn("tcp.segment_out_of_order", counters)

    def test_frames_come_twice(self):
        counters, _ = self.pass_over(2 * MIB, duplicate_ppm=50000, delay_us=1000)
        self.assertIn("tcp.segment_duplicate", counters)

    def test_frames_are_damaged(self):
        counters, line = self.pass_over(1 * MIB, corrupt_ppm=10000, delay_us=1000)
        self.assertGreater(line["corrupted"], 0)
        self.assertIn("net.in_tcp_checksum", counters)

    def test_a_round_trip_takes_1_ms(self):
        self.pass_over(16 * MIB, delay_us=500)

    def test_a_round_trip_takes_200_ms(self):
        self.pass_over(2 * MIB, delay_us=100000)

    def test_delays_vary(self):
        self.pass_over(2 * MIB, delay_us=10000, jitter_us=10000)

    def test_a_bottleneck_with_a_short_queue(self):
        counters, line = self.pass_over(4 * MIB, mbit=50, queue_bytes=64 * KIB, delay_us=10000)
        self.assertGreater(line["overflowed"], 0)
        self.assertEqual(counters["connections"], 0)

    def test_everything_at_once(self):
        self.pass_over(512 * KIB, drop_ppm=10000, burst_ppm=500, reorder_ppm=20000,
                       duplicate_ppm=10000, corrupt_ppm=1000, delay_us=10000, jitter_us=5000,
                       mbit=100, queue_bytes=256 * KIB)

    def test_peers_without_options_on_a_bad_line(self):
        names = ("tcp_timestamps", "tcp_sack", "tcp_window_scaling")
        for off in (("tcp_sack",), ("tcp_timestamps",), names):
            for name in names:
                self.sysctl(f"net.ipv4.{name}={0 if name in off else 1}")
                self.addCleanup(self.sysctl, f"net.ipv4.{name}=1")
            self.pass_over(256 * KIB, drop_ppm=10000, reorder_ppm=10000, duplicate_ppm=10000,
                           delay_us=5000)


if __name__ == "__main__":
    main()
