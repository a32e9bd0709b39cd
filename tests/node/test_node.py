"""Whole nodes on loopback: opened in order, closed in reverse, loud when they cannot go on."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from overlay.app import App, AppContext
from overlay.errors import LocalError
from overlay.events import PeerLost, PeerSeen
from overlay.identity.network import format_psk
from overlay.identity.node_id import format_id
from overlay.runtime.ports import Now
from overlay.wire.ticket import parse_ticket
from p2pnode.api import Terms
from p2pnode.config import Config, NetworkConfig
from p2pnode.driver import CommandFailed, NodeCrashed
from p2pnode.keyfile import new_key, save_key, write_secret
from p2pnode.lock import Locked, take_lock
from p2pnode.node import Node, open_node
from p2pnode.parts import SettingError, load_apps, make_parts
from p2pnode.paths import Home, HomeError
from p2pnode.store import Store
from p2pnode.transport.binding import PortTaken
from tests.support.pair import make_peer

CONFIG = Config(listen=("127.0.0.1:0",), lan=False, network=NetworkConfig(puzzle_bits=0), sources={"listen": "test"})


def config(**changes: Any) -> Config:
    return attrs.evolve(CONFIG, **changes)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that have met."""
    async with open_node(Home(folder / "a"), CONFIG) as a:
        with a.subscribe() as events:
            async with open_node(Home(folder / "b"), config(join=(a.ticket,))) as b:
                await seen(events, b)
                yield a, b


async def seen(events: Any, node: Node) -> None:
    with trio.fail_after(10):
        async for event in events:
            if isinstance(event, PeerSeen) and event.id == node.driver.peer.id:  # type: ignore[attr-defined]
                return


async def test_two_nodes_meet_by_ticket_and_share_values(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        put = await a.command("put", value=b"hello", name="greeting")
        got = await b.command("get", author=a.id, name="greeting")
        assert (got["value"], got["key"]) == (b"hello", put["key"])


async def test_what_a_node_says_of_itself(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), CONFIG) as node:
        listen, streams = node.listen
        assert listen.startswith("udp 127.0.0.1:")
        assert streams == listen.replace("udp", "tcp")
        assert (node.network, node.is_new) == ("p2pnode", True)
        ticket = parse_ticket(node.ticket)
        assert [f"udp {address}" for address in ticket.addresses] == [listen]
        status = await node.command("status")
        assert status["id"] == node.id
        assert {"udp_received", "tcp_open", "store_waiting_bytes", "lan_known"} <= set(status["counters"])


async def test_identity_and_records_outlive_the_node(tmp_path: Path) -> None:
    home = Home(tmp_path / "a")
    async with open_node(home, CONFIG) as node:
        id, key = node.id, (await node.command("put", value=b"kept"))["key"]
    async with open_node(home, CONFIG) as node:
        assert (node.id, node.is_new) == (id, False)
        assert (await node.command("get", key=key))["value"] == b"kept"


async def test_a_second_node_on_one_home_is_refused_and_the_lock_goes_with_the_node(tmp_path: Path) -> None:
    home = Home(tmp_path / "a")
    async with open_node(home, CONFIG):
        with pytest.raises(Locked):
            async with open_node(home, CONFIG):
                pass
    take_lock(home).release()


async def test_leaving_says_goodbye(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), CONFIG) as a:
        with a.subscribe() as events:
            async with open_node(Home(tmp_path / "b"), config(join=(a.ticket,))) as b:
                await seen(events, b)
            with trio.fail_after(10):
                async for event in events:
                    if isinstance(event, PeerLost):
                        assert event.reason == "left"
                        break


async def test_stop_ends_the_wait(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), CONFIG) as node:
        node.stop()
        with trio.fail_after(5):
            await node.wait_stopped()


async def test_an_exception_of_the_body_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_node(Home(tmp_path / "a"), CONFIG):
            raise KeyError("mine")


async def test_a_bug_in_the_core_ends_the_node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Home(tmp_path / "a")

    def bug(now: Now, *_: object) -> None:
        raise ZeroDivisionError("planted")

    async def crash() -> None:
        async with open_node(home, CONFIG) as node:
            node.driver.peer.handle_command = bug  # type: ignore[method-assign]
            with pytest.raises(CommandFailed):
                await node.command("status")
            await trio.sleep_forever()

    with trio.fail_after(10), pytest.raises(NodeCrashed, match="this is a bug"):
        await crash()
    assert "ZeroDivisionError: planted" in caplog.text
    take_lock(home).release()


async def test_what_ended_the_core_is_told_and_not_what_it_did_to_the_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the start took the first command of `run` with it, which was called a bug."""

    def full(self: Store, done: Callable[[BaseException | None], None]) -> None:
        done(OSError("the disk is full"))

    async def first_command() -> None:
        async with open_node(Home(tmp_path / "a"), CONFIG) as node, trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await node.command("status")

    monkeypatch.setattr(Store, "sync", full)
    with trio.fail_after(10), pytest.raises(NodeCrashed, match=r"cannot start: .* the disk is full"):
        await first_command()


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), CONFIG) as a:
        taken = (a.listen[0].removeprefix("udp "),)
        with pytest.raises(PortTaken):
            async with open_node(Home(tmp_path / "b"), config(listen=taken)):
                pass
        async with open_node(Home(tmp_path / "b"), config(listen=taken, sources={})) as b:
            assert b.listen != a.listen


async def test_settings_are_checked_before_anything_is_touched(tmp_path: Path) -> None:
    for wrong in (config(join=("nowhere",)), config(network=NetworkConfig(name=" ")), config(apps=("no.such:App",))):
        with pytest.raises((LocalError, HomeError)):
            async with open_node(Home(tmp_path / "a"), wrong):
                pass
    assert not (tmp_path / "a").exists()


async def test_networks_do_not_mix(tmp_path: Path) -> None:
    key = tmp_path / "network.key"
    write_secret(key, format_psk(bytes(range(32))).encode())
    private = NetworkConfig(puzzle_bits=0, key_file=key)
    async with (
        open_node(Home(tmp_path / "a"), CONFIG) as a,
        open_node(Home(tmp_path / "b"), config(network=private)) as b,
        open_node(Home(tmp_path / "c"), config(network=private, join=(b.ticket,))) as c,
    ):
        with pytest.raises(CommandFailed) as failed:
            await a.command("ping", peer=c.listen[0].removeprefix("udp "))
        assert failed.value.code == "timed_out"
        assert (await a.command("peers")) == []
        assert (await c.command("ping", peer=b.listen[0].removeprefix("udp ")))["id"] == b.id


TERMS = Terms(private=False, bittorrent=False, network_id=bytes(32), puzzle_bits=0, light=False)


class Echo(App):
    """An application as a stranger would write it."""

    name = "echo"

    async def run(self, ctx: AppContext) -> None:
        ctx.emit("up")


async def test_applications_run_with_the_node(tmp_path: Path) -> None:
    assert [type(one.app) for one in load_apps([f"{__name__}:Echo"], TERMS)] == [Echo]
    with pytest.raises(HomeError, match="not an application"):
        load_apps(["builtins:dict"], TERMS)
    with pytest.raises(LocalError, match="Echo has the name of another one here: 'echo'"):
        load_apps([f"{__name__}:Echo", f"{__name__}:Echo"], TERMS)
    async with open_node(Home(tmp_path / "a"), config(apps=(f"{__name__}:Echo",))) as node:
        assert (await node.command("status"))["id"] == node.id


async def test_the_bridge_serves_and_its_port_is_known(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), config(bridge="0")) as node:
        assert node.bridge is not None
        assert (node.bridge.host, node.bridge.port > 0) == ("127.0.0.1", True)


async def test_a_bridge_that_cannot_listen_ends_the_start_with_a_reason(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), CONFIG) as a:
        taken = a.listen[0].removeprefix("udp ")
        with pytest.raises(HomeError, match="the bridge cannot listen"):
            async with open_node(Home(tmp_path / "b"), config(bridge=taken)):
                pass
    take_lock(Home(tmp_path / "b")).release()


async def test_ping_takes_names_and_knows_itself(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        port = b.listen[0].rpartition(":")[2]
        assert (await a.command("ping", peer=f"localhost:{port}"))["id"] == b.id
        for own in (a.listen[0].removeprefix("udp "), f"localhost:{a.listen[0].rpartition(':')[2]}", a.id):
            with pytest.raises(CommandFailed, match="this node itself") as failed:
                await a.command("ping", peer=own)
            assert failed.value.code == "usage"
        for wrong, code in (("no-such-host.invalid:4433", "not_found"), ("localhost:0", "usage"), ("[::1]:1", "usage")):
            with pytest.raises(CommandFailed) as failed:
                await a.command("ping", peer=wrong)
            assert failed.value.code == code


async def test_another_peer_than_the_one_to_join_is_named_and_not_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One ran there, with the id given; now somebody else has its address."""
    gone, told, said = format_id(make_peer(7).id), trio.Event(), []

    def warning(text: str, *args: object) -> None:
        said.append(text % args)
        told.set()

    monkeypatch.setattr(logging.getLogger("p2pnode.joining"), "warning", warning)
    async with open_node(Home(tmp_path / "b"), CONFIG) as b:
        place = b.listen[0].removeprefix("udp ")
        async with open_node(Home(tmp_path / "c"), config(join=(f"{gone}@{place}",))) as c:
            with trio.fail_after(10):
                await told.wait()
            assert await c.command("peers") == []
    assert said == [f"did not join by {place}: expected {gone} there, and {b.id} answered; ask for a new ticket"]


async def test_two_homes_with_one_key_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    homes = [Home(tmp_path / name).make() for name in ("a", "b", "c")]
    pair = new_key(0)
    for home in homes:
        save_key(home.key, pair)
    async with open_node(homes[0], CONFIG):
        other = config(network=NetworkConfig(name="other", puzzle_bits=0))
        async with open_node(homes[2], other):
            assert "copy of this key" not in caplog.text  # on another network it is another peer
        async with open_node(homes[1], CONFIG):
            assert caplog.text.count("copy of this key") == 1
    caplog.clear()
    async with open_node(homes[1], CONFIG):
        assert "copy of this key" not in caplog.text


async def test_two_machines_with_one_key_are_warned_of_by_what_a_third_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one machine a lock tells them; what their peers say must not need it."""
    homes = [Home(tmp_path / name).make() for name in ("a", "b", "c")]
    pair = new_key(0)
    for home in homes[:2]:
        save_key(home.key, pair)
    said: dict[str, trio.Event] = defaultdict(trio.Event)
    monkeypatch.setattr(logging.getLogger("p2pnode.joining"), "warning", lambda text, *args: said[text % args].set())
    async with open_node(homes[2], CONFIG) as third:
        by_third = config(join=(third.ticket,))
        with third.subscribe() as events:
            async with open_node(homes[0], by_third) as a:
                await seen(events, a)
                async with open_node(homes[1], by_third) as b:
                    with trio.fail_after(30):
                        for other in (a, b):
                            place = other.listen[0].removeprefix("udp ")
                            await said[
                                f"another node runs with a copy of this node's key, at {place}, and peers cannot tell "
                                "the two apart: stop one, move its node.key away, and it gets an identity of its own"
                            ].wait()


@pytest.mark.parametrize("name", ["", "n" * 33, "ü" * 17, "two\nlines", None])
async def test_an_application_with_a_bad_name_is_refused_before_anything_is_touched(tmp_path: Path, name: Any) -> None:
    bad = type("Bad", (Echo,), {"name": name, "__module__": __name__})
    globals()["Bad"] = bad
    with pytest.raises(LocalError, match=r"test_node:Bad needs a name of 1 to 32"):
        async with open_node(Home(tmp_path / "a"), config(apps=(f"{__name__}:Bad",))):
            pass
    assert not (tmp_path / "a").exists()
    with pytest.raises(LocalError, match="needs a name"):
        make_peer(1, apps=[bad()])


@pytest.mark.parametrize("text", [None, "not a key"])
def test_a_network_key_that_cannot_be_read_is_a_wrong_setting(tmp_path: Path, text: str | None) -> None:
    key = tmp_path / "network.key"
    if text is not None:
        write_secret(key, text.encode())
    with pytest.raises((SettingError, LocalError), match="network key"):
        make_parts(config(network=NetworkConfig(key_file=key)))
