#!/usr/bin/python3
"""Packets for Weir as a pcap file, for Pktgen-DPDK or for scripts/pktgen/replay.

    make_pcap.py KIND FILE --mac MAC --target ADDRESS [--port 80] [--source NETWORK] [--count N]
                 [--gateway ADDRESS] [--seed N]

    syn        SYNs as an attacker sends them: random sources, ports and numbers, a client's options
    ack        ACKs of connections that do not exist, likewise
    icmp-arp   echo requests and ARP requests for the address, in turn
    http2      what a client sends in a session: SYN, ACK, preface and SETTINGS, SETTINGS ACK, requests
               (GET /, END_STREAM), GOAWAY, FIN; COUNT sessions

MAC is that of Weir's port (`weirctl port list`). With --gateway each file begins with that address asking
for Weir's by ARP: Weir learns where its answers go, and sends them. A replayed client cannot know what Weir chose as its
first sequence number: its SYN is answered, and what follows it is refused, as an attacker's would be.
The same seed gives the same file.
"""
import argparse
import ipaddress
import itertools
import random
import struct

OUR_MAC = bytes.fromhex("02ffee000001")
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
# MSS 1460, SACK permitted, timestamps (the clock comes between these two), window scale 7.
OPTIONS_BEFORE, OPTIONS_AFTER = bytes.fromhex("020405b40402080a"), bytes(4) + bytes.fromhex("01030307")
# HTTP/2: connection preface and an empty SETTINGS; ACK of SETTINGS; GET / of http://weir.example.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
SETTINGS_ACK = bytes.fromhex("000000040100000000")
GOAWAY = bytes.fromhex("0000080700000000000000000000000000")
AUTHORITY = b"weir.example"
BLOCK = bytes.fromhex("828684") + bytes([0x41, len(AUTHORITY)]) + AUTHORITY


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def ethernet(mac, kind, payload):
    return (mac + OUR_MAC + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def ipv4(source, target, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0, source,
                       target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def tcp(source, target, ports, numbers, flags, options=b"", data=b""):
    length = 20 + len(options)
    segment = struct.pack("!HHIIBBHHH", *ports, *numbers, length // 4 << 4, flags, 64240, 0, 0)
    segment += options + data
    pseudo = source + target + struct.pack("!BBH", 0, 6, len(segment))
    return segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]


def frame_of(stream, kind, flags, payload):
    return len(payload).to_bytes(3, "big") + struct.pack("!BBI", kind, flags, stream) + payload


class Packets:
    def __init__(self, options):
        self.random = random.Random(options.seed)
        self.mac = bytes.fromhex(options.mac.replace(":", ""))
        self.target = ipaddress.IPv4Address(options.target).packed
        self.network = ipaddress.IPv4Network(options.source)
        self.gateway = ipaddress.IPv4Address(options.gateway).packed if options.gateway else None
        self.port = options.port

    def source(self):
        number = self.random.randrange(1, max(2, self.network.num_addresses - 1))
        return (self.network.network_address + number).packed

    def ports(self):
        return self.random.randrange(1024, 65536), self.port

    def number(self):
        return self.random.getrandbits(32)

    def segment(self, source, ports, numbers, flags, options=b"", data=b""):
        packet = tcp(source, self.target, ports, numbers, flags, options, data)
        return ethernet(self.mac, 0x0800, ipv4(source, self.target, 6, packet))

    def client_options(self):
        return OPTIONS_BEFORE + struct.pack("!I", self.number()) + OPTIONS_AFTER

    def syn(self):
        yield self.segment(self.source(), self.ports(), (self.number(), 0), SYN, self.client_options())

    def ack(self):
        yield self.segment(self.source(), self.ports(), (self.number(), self.number()), ACK)

    def arp_request(self, asker):
        return ethernet(b"\xff" * 6, 0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + OUR_MAC +
                        asker + bytes(6) + self.target)

    def introduction(self):
        if self.gateway:
            yield self.arp_request(self.gateway)

    def icmp_arp(self):
        source = self.source()
        echo = struct.pack("!BBHHH", 8, 0, 0, self.number() & 0xffff, 1) + bytes(range(48))
        echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
        yield ethernet(self.mac, 0x0800, ipv4(source, self.target, 1, echo))
        yield self.arp_request(self.gateway or source)

    def http2(self):
        """The client's side; what it acknowledges of Weir's is a guess."""
        source, ports, seq, peer = self.source(), self.ports(), self.number(), self.number()
        yield self.segment(source, ports, (seq, 0), SYN, self.client_options())
        seq = seq + 1 & 0xffffffff
        yield self.segment(source, ports, (seq, peer), ACK)
        requests = b"".join(frame_of(2 * i + 1, 1, 5, BLOCK) for i in range(4))
        for data in (PREFACE, SETTINGS_ACK, requests, GOAWAY):
            yield self.segment(source, ports, (seq, peer), PSH | ACK, data=data)
            seq = seq + len(data) & 0xffffffff
        yield self.segment(source, ports, (seq, peer), FIN | ACK)


KINDS = {"syn": Packets.syn, "ack": Packets.ack, "icmp-arp": Packets.icmp_arp,
         "http2": Packets.http2}


def write(path, packets):
    """Classic pcap, Ethernet, microseconds; returns how many packets it has."""
    count = 0
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for packet in packets:
            file.write(struct.pack("<IIII", count // 1000000, count % 1000000, len(packet),
                                   len(packet)) + packet)
            count += 1
    return count


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("file")
    parser.add_argument("--mac", required=True, help="of Weir's port")
    parser.add_argument("--target", required=True, help="Weir's IPv4 address there")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--source", default="198.18.0.0/15", help="where packets pretend to come from")
    parser.add_argument("--gateway", help="who asks by ARP, an address of the port's network")
    parser.add_argument("--count", type=int, default=8192, help="packets, or sessions, or pairs")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main():
    options = arguments()
    packets = Packets(options)
    make = KINDS[options.kind]
    made = (packet for _ in range(options.count) for packet in make(packets))
    count = write(options.file, itertools.chain(packets.introduction(), made))
    print(f"{options.file}: {count} packets")


if __name__ == "__main__":
    main()
