#!/usr/bin/python3
"""Runs one simulation with --pcap and reads the file as any reader would: header, records, times.

    check_pcap.py WEIR_SIM
"""
import re
import struct
import subprocess
import sys
import tempfile

MAGIC_NANOSECONDS = 0xA1B23C4D
ETHERNET = 1
ETHERTYPES = {0x0800, 0x0806, 0x86DD, 0x8100}


def records(data):
    """Time in nanoseconds, and bytes, of each."""
    at = 24
    while at < len(data):
        seconds, nanoseconds, kept, whole = struct.unpack_from("<IIII", data, at)
        assert nanoseconds < 1000000000, f"{nanoseconds} ns at {at}"
        assert kept == whole, f"{kept} of {whole} bytes were kept at {at}"
        assert at + 16 + kept <= len(data), f"a record is cut off at {at}"
        yield seconds * 1000000000 + nanoseconds, data[at + 16:at + 16 + kept]
        at += 16 + kept


def main():
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        said = subprocess.run(
            [sys.argv[1], "--scenario", "tcp", "--seed", "12", "--pcap", file.name],
            check=True, capture_output=True, text=True).stdout
        data = file.read()
    frames = int(re.search(r"(\d+) frames", said).group(1))
    magic, major, minor, _, _, snap, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, link) == (MAGIC_NANOSECONDS, 2, 4, ETHERNET), data[:24].hex()
    before = 0
    count = 0
    for at, frame in records(data):
        assert at >= before, "time goes back"
        assert 14 <= len(frame) <= snap, f"{len(frame)} bytes"
        assert struct.unpack_from(">H", frame, 12)[0] in ETHERTYPES, frame[:14].hex()
        before = at
        count += 1
    assert count == frames, f"{count} records, {frames} frames"
    print(f"{count} records")


main()
