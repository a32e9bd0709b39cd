"""A hostile host: announces thousands of services by multicast DNS, most of them nonsense. argv: network id prefix."""

from __future__ import annotations

import random
import socket
import struct
import sys

GROUP = ("224.0.0.251", 5353)  # RFC 6762
SERVICE = b"\x08_p2pnode\x04_udp\x05local\x00"
PTR, TXT, A, SRV = 12, 16, 1, 33


def record(name: bytes, kind: int, data: bytes) -> bytes:
    return name + struct.pack(">HHIH", kind, 1, 4500, len(data)) + data


def listing(label: bytes, txt: bytes, address: bytes, port: int) -> bytes:
    name = bytes([len(label)]) + label + SERVICE
    host = bytes([len(label)]) + label + b"\x05local\x00"
    return b"".join(
        [
            record(SERVICE, PTR, name),
            record(name, SRV, struct.pack(">HHH", 0, 0, port) + host),
            record(name, TXT, txt),
            record(host, A, address),
        ]
    )


def packet(*answers: bytes, count: int) -> bytes:
    return struct.pack(">HHHHHH", 0, 0x8400, 0, count, 0, 0) + b"".join(answers)


def text(*pairs: bytes) -> bytes:
    return b"".join(bytes([len(pair)]) + pair for pair in pairs)


def main(network: bytes) -> None:
    rng = random.Random(7)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.3"))
    sock.bind(("", 5353))
    for n in range(3000):
        forged = text(b"v=1", b"nid=" + network, b"key=" + rng.randbytes(32).hex().encode())
        nonsense = rng.choice(
            [
                rng.randbytes(rng.randrange(200)),
                text(b"v=1", b"nid=" + network, b"key=" + bytes(64)),
                text(b"n=" + rng.randbytes(16).hex().encode(), b"m=" + rng.randbytes(32).hex().encode()),
                text(b"key", b"nid=" + network),
            ]
        )
        elsewhere = rng.choice([b"\x08\x08\x08\x08", b"\xff\xff\xff\xff", b"\x7f\0\0\1", bytes(4)])
        here = b"\x0a\x4d\x00" + rng.randbytes(1)
        for m, (txt, address, port) in enumerate(
            [
                (forged, here, rng.randrange(1024, 65536)),
                (forged, elsewhere, 4433),
                (forged, here, rng.choice([0, 53])),
                (nonsense, here, 4433),
            ]
        ):
            sock.sendto(packet(listing(b"x%06d-%d" % (n, m), txt, address, port), count=4), GROUP)
        sock.sendto(rng.randbytes(rng.randrange(1, 600)), GROUP)
        names = [record(SERVICE, PTR, bytes([9]) + b"y%08d" % (4 * n + i) + SERVICE) for i in range(4)]
        sock.sendto(packet(*names, count=4), GROUP)


main(sys.argv[1].encode())
