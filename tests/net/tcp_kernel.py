#!/usr/bin/python3
"""Our TCP against the Linux kernel's, both roles, IPv4 and IPv6, over AF_XDP. Needs root.

tests/support/tcp_peer.c is our side. The kernel of another namespace is the other one. Exit status
77: something is missing here, the text says what.
"""
import concurrent.futures
import contextlib
import errno
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import CLIENT4, CLIENT6, wait_until                            # noqa: E402
from tcp_lab import (ECHO, LARGE, OURS4, OURS6, PATTERN, RESET, SWALLOW, TcpCase, connect,  # noqa: E402
                     echoed, main, pattern, read_exactly, sha256)


class Kernel(TcpCase):
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


if __name__ == "__main__":
    main()
