"""A LAN of network namespaces: hosts on one bridge, a /24, no default route. Needs root and iproute2.

    with Lan(hosts=2, folder=tmp_path) as lan:
        async with lan.node(0) as a, lan.node(1) as b:
            ...

Processes live in real time, so what these tests wait for they poll for, inside a deadline: `until`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from p2pnode.api import connect

ROOT = Path(__file__).parents[2]
#: How a node is started; the home and the verb follow.
PROGRAM = (sys.executable, "-m", "p2pnode.cli.main")
POLL_S = 0.1
START_S = 30.0
STOP_S = 10.0


async def until(condition: Callable[[], Any], *, within_s: float, what: str) -> Any:
    """The first true value of `condition`, which runs in a thread. AssertionError after `within_s`."""
    value = None
    with trio.move_on_after(within_s):
        while not (value := await trio.to_thread.run_sync(condition)):  # noqa: ASYNC110 - of other processes
            await trio.sleep(POLL_S)
    assert value, f"not within {within_s:g} s: {what}"
    return value


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(args)}: {done.stderr.strip()}"


@attrs.define(slots=True, eq=False)
class HostNode:
    """One running `p2pnode run`; `said` is its stderr so far."""

    process: trio.Process
    home: Path
    said: str = ""
    ready: trio.Event = attrs.Factory(trio.Event)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask its control API. A unix socket is a file: it can be reached from every namespace."""
        return connect(self.home).call(method, path, body, timeout_s=60)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.call("GET", "/v1/status")
        return status

    @property
    def id(self) -> str:
        return str(self.status()["id"])

    def peers(self) -> set[str]:
        """Ids that it lists."""
        return {peer["id"] for peer in self.call("GET", "/v1/peers")["peers"]}

    def table(self) -> set[str]:
        """Ids in its routing table."""
        buckets = self.call("GET", "/v1/dht/table")["buckets"]
        return {contact["id"] for bucket in buckets for contact in bucket["contacts"]}

    async def _listen_to(self) -> None:
        assert self.process.stderr is not None
        async for chunk in self.process.stderr:
            self.said += chunk.decode(errors="replace")
            if "ready" in self.said.lower():
                self.ready.set()
        self.ready.set()


class Lan:
    """`hosts` namespaces with addresses 10.77.0.1, 10.77.0.2, ... on eth0, each plugged into one bridge."""

    def __init__(self, *, hosts: int, folder: Path) -> None:
        self._prefix = f"p2p{os.getpid()}"
        self._bridge = f"{self._prefix}br"
        self.hosts = range(hosts)
        self.folder = folder

    def name(self, host: int) -> str:
        return f"{self._prefix}h{host}"

    def __enter__(self) -> Lan:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _build(self) -> None:
        _ip("netns", "add", self._bridge)
        # Without snooping the bridge floods multicast, as a cheap switch does.
        _ip("-n", self._bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        _ip("-n", self._bridge, "link", "set", "br0", "up")
        for host in self.hosts:
            name = self.name(host)
            _ip("netns", "add", name)
            # A host that has been up for a while: its link-local address is not to appear seconds later.
            self._write(name, "/proc/sys/net/ipv6/conf/default/accept_dad", "0")
            _ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", f"port{host}", "netns", self._bridge)
            _ip("-n", self._bridge, "link", "set", f"port{host}", "master", "br0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "address", "add", f"10.77.0.{host + 1}/24", "dev", "eth0")

    def _write(self, name: str, file: str, text: str) -> None:
        subprocess.run(["ip", "netns", "exec", name, "sh", "-c", f"echo {text} > {file}"], check=True)

    def _remove(self) -> None:
        for name in [*map(self.name, self.hosts), self._bridge]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    # --- what happens to cables ---------------------------------------------------------------

    def unplug(self, host: int) -> None:
        """Pull the cable: the host sees its carrier go."""
        _ip("-n", self._bridge, "link", "set", f"port{host}", "down")

    def plug(self, host: int) -> None:
        _ip("-n", self._bridge, "link", "set", f"port{host}", "up")

    def readdress(self, host: int, ip: str) -> None:
        """Another IPv4 address, as a new lease gives."""
        _ip("-n", self.name(host), "-4", "address", "flush", "dev", "eth0")
        _ip("-n", self.name(host), "address", "add", f"{ip}/24", "dev", "eth0")

    def add_address(self, host: int, address: str) -> None:
        """One more, with the length of its prefix; nobody is asked whether it is taken."""
        _ip("-n", self.name(host), "address", "add", address, "dev", "eth0", "nodad")

    def loss(self, host: int, percent: int) -> None:
        """Drop so many of the packets that come in."""
        rules = (
            "table inet loss {\n chain input {\n type filter hook input priority 0;\n"
            f' iifname "eth0" numgen random mod 100 < {percent} drop\n }}\n}}\n'
        )
        done = subprocess.run(
            ["ip", "netns", "exec", self.name(host), "nft", "-f", "-"],
            input=rules, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    # --- what runs there ----------------------------------------------------------------------

    def run(self, host: int, *argv: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """A program on that host, to its end."""
        line = ["ip", "netns", "exec", self.name(host), *argv]
        return subprocess.run(line, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT)

    def p2pnode(self, host: int, *args: str) -> Any:
        """A command of the CLI with --json on the home of that host's node; its parsed answer."""
        done = self.run(host, *PROGRAM, "--home", str(self.home(host)), *args, "--json")
        assert done.returncode == 0, f"{args}: exit {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    def home(self, host: int) -> Path:
        return self.folder / f"h{host}"

    @asynccontextmanager
    async def node(self, host: int, *options: str) -> AsyncIterator[HostNode]:
        """`p2pnode --home X run` on that host, ready; SIGTERM at the end, and it must exit with 0."""
        line = ["ip", "netns", "exec", self.name(host), *PROGRAM, "-v", "--home", str(self.home(host)), "run", *options]
        process = await trio.lowlevel.open_process(line, stderr=subprocess.PIPE, cwd=ROOT)
        node = HostNode(process, self.home(host))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node._listen_to)
                with trio.move_on_after(START_S):
                    await node.ready.wait()
                is_up = node.ready.is_set() and process.poll() is None
                assert is_up, f"host {host} did not get ready:\n{node.said}"
                try:
                    yield node
                except BaseException as error:
                    error.add_note(f"host {host} said:\n{node.said}")
                    raise
                finally:
                    with trio.move_on_after(STOP_S, shield=True):
                        process.send_signal(signal.SIGTERM)
                        await process.wait()
            assert process.returncode == 0, f"host {host} ended with {process.returncode}:\n{node.said}"
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    def avahi_browse(self, host: int) -> str:
        """What a foreign mDNS client sees: avahi with a dbus of its own, both gone afterwards.

        It asks twice, as a daemon that has been up for a while would have: a record is not multicast twice within a
        second (RFC 6762 6), so who asks for a second only may miss one that was just told to somebody else.
        `ip netns exec` gives a mount namespace, so the /run that is mounted over is ours alone.
        """
        dbus = self.folder / "dbus.conf"
        dbus.write_text(_DBUS)
        avahi = self.folder / "avahi.conf"
        avahi.write_text(
            "[server]\nuse-ipv4=yes\nuse-ipv6=no\nallow-interfaces=eth0\n[publish]\ndisable-publishing=yes\n"
        )
        script = _AVAHI.format(dbus=dbus, avahi=avahi)
        done = self.run(host, "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout


def services(browsed: str) -> Sequence[str]:
    """The resolved lines of `avahi-browse -p`."""
    return [line for line in browsed.splitlines() if line.startswith("=")]


_DBUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
"""

_AVAHI = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/avahi-daemon
dbus-daemon --config-file={dbus} --nofork --nopidfile 2>/run/dbus.log &
bus=$!
while [ ! -S /run/dbus/system_bus_socket ]; do kill -0 $bus; sleep 0.1; done
avahi-daemon --file {avahi} --no-drop-root --no-chroot --no-rlimits 2>/run/avahi.log &
daemon=$!
trap 'kill $daemon $bus; wait' EXIT
while ! grep -sq "startup complete" /run/avahi.log; do kill -0 $daemon; sleep 0.1; done
avahi-browse -rtp _p2pnode._udp >/dev/null
sleep 1
avahi-browse -rtp _p2pnode._udp
"""
