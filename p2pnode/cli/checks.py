"""What usually goes wrong on a machine, one function a suspicion. Each looks and says; none repairs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import struct
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from p2pnode.paths import HomeError
from p2pnode.ui.fail import Fail

#: Group and port of mDNS (RFC 6762 section 3).
MDNS_GROUP, MDNS_PORT = "224.0.0.251", 5353
#: A store of 65,536 records has 64 MiB; sqlite needs room for its log beside it.
LITTLE_SPACE, NO_SPACE = 256 * 1024 * 1024, 16 * 1024 * 1024
#: A stamp block and every own record wait for fsync; an SD card needs 10 to 50 ms.
SLOW_FSYNC_MS = 100.0
#: The release: a clock before it is wrong. 2026-11-01.
RELEASED = 1_793_491_200


@attrs.frozen(slots=True)
class Row:
    name: str
    #: ok, warn (it runs, something is missing) or fail (it cannot run).
    state: str
    text: str
    #: What to type next; "" where nothing needs to be done.
    next: str = ""


def failed(name: str, error: HomeError | Fail) -> Row:
    """What a command would say of it: what happened, the facts, and the last of them is the next command."""
    *facts, next_command = [*error.facts.items()] or [("", "")]
    return Row(name, "fail", "; ".join([error.what, *(f"{label}: {text}" for label, text in facts)]), next_command[1])


def multicast(addresses: Sequence[str]) -> list[Row]:
    """Whether a datagram to the group of mDNS comes back on each of these IPv4 addresses of this machine."""
    if not addresses:
        return [Row("multicast", "warn", "no network besides loopback", "connect it, or join by ticket: run --join")]
    return [_loops(address) for address in addresses]


def _loops(address: str) -> Row:
    try:
        heard = _hears_itself(address)
    except OSError as error:
        reason = error.strerror or str(error)
        return Row("multicast", "warn", f"{address}: {reason}", "peers on this LAN need a ticket: run --join")
    if heard:
        return Row("multicast", "ok", f"{address}: a datagram to {MDNS_GROUP} comes back")
    return Row(
        "multicast",
        "warn",
        f"{address}: a datagram to {MDNS_GROUP} does not come back; nodes here will not find each other by themselves",
        f"allow UDP port {MDNS_PORT} in the firewall, or join by ticket: run --join",
    )


def _hears_itself(address: str) -> bool:
    nonce = os.urandom(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        # A port of our own, not 5353: this tests the group and the interface, and disturbs no responder.
        sock.bind(("", 0))
        own = socket.inet_aton(address)
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton(MDNS_GROUP), own)
        )
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        sock.sendto(nonce, (MDNS_GROUP, sock.getsockname()[1]))
        sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                if sock.recv(64) == nonce:
                    return True
    return False


def firewall(port: int, *, root: Path = Path("/")) -> Row:
    """Which firewall is there; its rules are mostly for root's eyes, so this can only hint."""
    if _has_line(root / "etc/ufw/ufw.conf", "ENABLED=yes"):
        return Row(
            "firewall",
            "warn",
            "ufw is on; it drops what it does not know",
            f"sudo ufw allow {port} && sudo ufw allow {MDNS_PORT}/udp",
        )
    if (root / "run/firewalld").exists() or (root / "var/run/firewalld.pid").exists():
        return Row(
            "firewall",
            "warn",
            "firewalld is on; it drops what it does not know",
            f"sudo firewall-cmd --add-port={port}/udp --add-port={port}/tcp --add-service=mdns",
        )
    if (root / "etc/nftables.conf").exists() and _has_line(root / "etc/nftables.conf", "policy drop", part=True):
        return Row(
            "firewall",
            "warn",
            "/etc/nftables.conf has a chain that drops by default",
            f"sudo nft list ruleset, and accept UDP and TCP port {port} and UDP port {MDNS_PORT}",
        )
    return Row("firewall", "ok", "no ufw, firewalld or dropping nftables.conf found (a router may still filter)")


def _has_line(path: Path, text: str, *, part: bool = False) -> bool:
    try:
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return False
    return any(text in line if part else text == line for line in lines if not line.startswith("#"))


def clock(*, now: float, newest_write: float | None) -> Row:
    """`newest_write`: when the store was last written, by this same clock."""
    fix = "timedatectl set-ntp true"
    if now < RELEASED:
        return Row("clock", "fail", f"it says {_date(now)}, before this version was made", fix)
    if newest_write is not None and newest_write > now + 60:
        return Row("clock", "warn", f"it went back: the store was written at {_date(newest_write)}", fix)
    return Row("clock", "ok", _date(now))


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def disk(home: Path) -> list[Row]:
    """Space for the store, and how long a write takes to be safe."""
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free // (1024 * 1024):,} MiB free for {home}"
    if free < NO_SPACE:
        rows = [Row("disk", "fail", text, f"make room, or another home: p2pnode --home DIR (df -h {folder})")]
    elif free < LITTLE_SPACE:
        rows = [Row("disk", "warn", text, f"make room: df -h {folder}")]
    else:
        rows = [Row("disk", "ok", text)]
    if folder == home:
        rows.append(_fsync(home))
    return rows


def _fsync(home: Path) -> Row:
    path = home / f".doctor.{os.urandom(6).hex()}"
    times: list[float] = []
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for _ in range(5):
                os.write(descriptor, bytes(4096))
                began = time.perf_counter()
                os.fsync(descriptor)
                times.append(1000 * (time.perf_counter() - began))
        finally:
            os.close(descriptor)
            path.unlink()
    except OSError as error:
        return Row("fsync", "fail", f"{home} cannot be written: {error.strerror or error}", f"ls -ld {home}")
    median = statistics.median(times)
    if median > SLOW_FSYNC_MS:
        return Row(
            "fsync", "warn", f"a safe write takes {median:.0f} ms: slow disk", "another home: p2pnode --home DIR"
        )
    return Row("fsync", "ok", f"a safe write takes {median:.1f} ms")


def port(endpoints: Sequence[str], *, chosen: bool = True) -> list[Row]:
    """Whether these HOST:PORT can be bound, UDP and TCP; not for a home whose node is running.

    Not `chosen`: they are the default, and `run` takes another port where they are in use.
    """
    rows = [row for endpoint in endpoints for row in _bindable(endpoint)]
    if chosen:
        return rows
    return [attrs.evolve(row, state="warn") if row.state == "fail" else row for row in rows]


def _bindable(endpoint: str) -> list[Row]:
    host, _, number = endpoint.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = []
    for kind, name in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")):
        try:
            with socket.socket(family, kind) as sock:
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if kind == socket.SOCK_STREAM:  # as a server does: TIME_WAIT is not "taken"
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((host, int(number)))
        except OSError as error:
            taken.append(f"{name} {endpoint}: {error.strerror or error}")
    if not taken:
        return [Row("port", "ok", f"{endpoint} can be bound")]
    return [Row("port", "fail", text, "another port: p2pnode run --listen HOST:PORT (0 picks one)") for text in taken]


def files(*, hard: int) -> Row:
    """`hard`: how many files a process of this user may open; each stream is one."""
    from overlay.limits import MAX_STREAM_SOCKETS
    from p2pnode.transport.streams import DESCRIPTORS_KEPT

    need = MAX_STREAM_SOCKETS + DESCRIPTORS_KEPT
    if not 0 <= hard < need:  # RLIM_INFINITY is negative
        return Row("files", "ok", f"a process may open {hard:,}" if hard >= 0 else "a process may open any number")
    return Row(
        "files",
        "warn",
        f"a process may open {hard:,}, and a node {need:,} with all its streams: it will have fewer of them",
        "ulimit -Hn, and raise nofile in /etc/security/limits.conf (systemd: LimitNOFILE)",
    )


def key(*, solves: bool | None, bits: int) -> Row:
    """`solves` is None where there is no key."""
    if solves is None:
        return Row("identity", "ok", "none yet; the first run makes one")
    if solves:
        return Row("identity", "ok", f"the key solves the puzzle of this network ({bits} bits)")
    return Row(
        "identity",
        "warn",
        f"the key does not solve the puzzle of this network ({bits} bits): peers will treat this node as a client",
        "p2pnode --home DIR id new",
    )
