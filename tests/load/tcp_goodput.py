#!/usr/bin/python3
"""Goodput of one connection over a bad line: our TCP as the sender beside the Linux kernel's
with CUBIC.

    tcp_goodput.py [--seconds S] [--runs N] [--line "drop_ppm=10000 delay_us=25000"] ...

The same receiver (the kernel, in another namespace), the same line (tests/support/bad_line.c), the
senders take turns, each run has its own seed that both get. Prints the median of the runs and the
ratio; it means something only within one run of this program. Needs root.

Environment: WEIR_BUILD (the build directory).
"""
import argparse
import contextlib
import os
import socket
import statistics
import struct
import sys
import threading
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TREE, "tests", "net"))
from netlab import HOST4, Lab, inside, wait_until                                  # noqa: E402
from tcp_lab import BUILD, EAL, OURS4, OURS6, PATTERN, PEER, connect  # noqa: E402

BAD_LINE = os.path.join(BUILD, "tests", "support", "bad_line")
LINES = (
    "delay_us=10000 mbit=100 queue_bytes=250000",
    "delay_us=5000 drop_ppm=1000",
    "delay_us=25000 drop_ppm=10000",
    "delay_us=10000 drop_ppm=30000",
    "delay_us=10000 reorder_ppm=20000 reorder_us=5000 mbit=100 queue_bytes=250000",
)
ENDLESS = 1 << 40


class KernelSender:
    """Sends without end to whoever connects to the edge's own address."""

    address = HOST4

    def __init__(self, lab):
        with inside(lab, "edge"):
            self.listener = socket.create_server((HOST4, PATTERN))
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        piece = bytes(1 << 18)
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                with sock, contextlib.suppress(OSError):
                    while True:
                        sock.sendall(piece)

    def stop(self):
        self.listener.close()


class OurSender:
    address = OURS4

    def __init__(self, lab):
        self.process = lab.spawn("edge", [PEER, "net_af_xdp0,iface=front", OURS4 + "/24",
                                          OURS6 + "/64", "serve", "--", *EAL], "tcp_peer")
        wait_until(lambda: "ready" in self.process.log(), 30, "tcp_peer to be ready")

    def stop(self):
        self.process.stop()


def goodput(lab, sender, seconds):
    """Bytes a second that arrived, without the first second."""
    with connect(lab, sender.address, PATTERN) as sock:
        sock.sendall(struct.pack(">Q", ENDLESS))
        sock.settimeout(30)
        begin = time.monotonic()
        counted_from, received = begin + 1, 0
        while (now := time.monotonic()) < counted_from + seconds:
            got = len(sock.recv(1 << 18))
            if now >= counted_from:
                received += got
    return received / seconds


def measure(lab, line, kind, seconds, seed):
    settings = dict(word.split("=") for word in line.split())
    process = lab.spoil(BAD_LINE, seed=seed, **settings)
    sender = kind(lab)
    try:
        return goodput(lab, sender, seconds)
    finally:
        sender.stop()
        process.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--line", action="append", help="settings of bad_line, one way each")
    arguments = parser.parse_args()
    print(f"{'line':80} {'ours':>10} {'kernel':>10} {'ratio':>6}   (KB/s)")
    for line in arguments.line or LINES:
        with Lab(prefix=f"weir-goodput-{os.getpid()}", line=True) as lab:
            rates = {OurSender: [], KernelSender: []}
            for seed in range(1, arguments.runs + 1):
                for kind, found in rates.items():
                    found.append(measure(lab, line, kind, arguments.seconds, seed))
        ours, kernel = (statistics.median(rates[kind]) for kind in (OurSender, KernelSender))
        print(f"{line:80} {ours / 1000:10.0f} {kernel / 1000:10.0f} {ours / kernel:6.2f}",
              flush=True)


if __name__ == "__main__":
    main()
