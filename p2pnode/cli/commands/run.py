"""`p2pnode run`: a node in the foreground, until Ctrl-C, SIGTERM or `p2pnode stop`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2pnode.cli.hints import how_to_join
from p2pnode.cli.session import Session, examples, pass_session
from p2pnode.ui.fail import Exit, fail
from p2pnode.ui.render import counted, say, short_id

if TYPE_CHECKING:
    import trio

    from p2pnode.config import Config
    from p2pnode.node import Node
    from p2pnode.paths import Home
    from p2pnode.record.recorder import Wanted

#: A peer that is there answers within a second, and a lost datagram is sent again three times by now.
_SILENCE_S = 8.0
#: Tries between two updates of the line that counts.
_TOLD_EVERY = 20_000


@click.command(
    epilog=examples(
        "p2pnode run                                on two machines of one LAN",
        "p2pnode run --join p2pnode1:…              elsewhere: with a ticket",
        "p2pnode run --network office --network-key office.key",
        "p2pnode run --listen 127.0.0.1:0 --no-lan  for tests",
        "p2pnode run --record today.rec             later: p2pnode replay today.rec",
    )
)
@click.option(
    "--listen",
    multiple=True,
    metavar="HOST:PORT",
    help="Where to serve; port 0 picks one. Twice: one IPv4 and one IPv6 address.",
)
@click.option(
    "--join", multiple=True, metavar="TICKET|[ID@]HOST:PORT", help="Where to enter the network. May be repeated."
)
@click.option("--no-lan", is_flag=True, help="Neither look for peers on the local network nor be found.")
@click.option("--network", metavar="NAME", help="Name of the network; another name is another network.")
@click.option("--network-key", metavar="FILE", help="Key of a private network (p2pnode network new).")
@click.option("--puzzle-bits", type=click.IntRange(0, 32), metavar="N", help="Work in an identity of this network.")
@click.option("--bridge", metavar="[HOST:]PORT", help='Serve peers of the package "kademlia"; loopback by default.')
@click.option("--no-files", is_flag=True, help="Neither share files nor fetch any.")
@click.option("--no-bittorrent", is_flag=True, help="Share files with peers of this network alone.")
@click.option("--no-chain", is_flag=True, help="Keep no chain: neither mine nor pay nor anchor.")
@click.option("--light", is_flag=True, help="Of the chain keep headers alone, and ask others for proofs.")
@click.option("--prune", type=int, metavar="N", help="Of the chain keep the newest N blocks, 288 or more, not all.")
@click.option(
    "--assume-valid", metavar="HEIGHT:ID", help="A block of the chain that is good: no signature up to it is checked."
)
@click.option(
    "--app", "apps", multiple=True, metavar="NAME", help="Application to run: a name, or package.module:Class."
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Record all that this run is given, for p2pnode replay. FILE holds the key of the node: keep it to yourself.",
)
@click.option(
    "--record-limit",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    metavar="MB",
    help="The recording ends at this size; the node goes on.",
)
@click.option("--config", "file", type=click.Path(path_type=Path), help="Settings, instead of node.toml in the home.")
@click.argument("more_to_join", nargs=-1, metavar="")
@pass_session
def run(
    session: Session,
    listen: tuple[str, ...],
    join: tuple[str, ...],
    no_lan: bool,
    network: str | None,
    network_key: str | None,
    puzzle_bits: int | None,
    bridge: str | None,
    no_files: bool,
    no_bittorrent: bool,
    no_chain: bool,
    light: bool,
    prune: int | None,
    assume_valid: str | None,
    apps: tuple[str, ...],
    record: Path | None,
    record_limit: int,
    file: Path | None,
    more_to_join: tuple[str, ...],
) -> int:
    """Run a node here until Ctrl-C. Ctrl-C once leaves cleanly, twice at once.

    Says on stderr what happens; a line with "ready" when it serves.
    """
    # From here to the loop, which takes signals itself, there is nothing to clean up.
    for number in _LEAVE:
        signal.signal(number, lambda *_: sys.exit(Exit.OK))
    from p2pnode import trace
    from p2pnode.config_load import load

    if more_to_join and not join:
        fail(f"unexpected: {more_to_join[0]}", code="usage", to_join_a_node="p2pnode run --join …")
    options: dict[str, Any] = {
        "listen": listen,
        "join": join + more_to_join,
        "lan": False if no_lan else None,
        "bridge": bridge,
        "files": False if no_files else None,
        "bittorrent": False if no_bittorrent else None,
        "chain": False if no_chain else None,
        "light": True if light else None,
        "prune": prune,
        "assume_valid": assume_valid,
        "apps": apps,
        "network.name": network,
        "network.key_file": network_key,
        "network.puzzle_bits": puzzle_bits,
    }
    home = session.home
    config = load(home, file=file, options=options)
    log_file = session.log_file or config.log.file
    trace.set_up(level=config.log.level, verbosity=session.verbose, file=log_file)
    wanted = _recording(record, record_limit)
    passphrase = _passphrase(home)

    import trio

    from p2pnode.driver import NodeCrashed

    try:
        return trio.run(partial(_run, home, config, passphrase, wanted))
    except* NodeCrashed as crashes:
        # The driver has logged the traceback.
        fail(f"the node ended: {crashes.exceptions[0]}", see="the log above", start_it_again=session.command("run"))


async def _run(home: Home, config: Config, passphrase: str | None, wanted: Wanted | None) -> int:
    import trio

    from p2pnode.control.server import serve
    from p2pnode.node import open_node

    began = trio.current_time()
    nodes: list[Node] = []
    with trio.open_signal_receiver(*_LEAVE) as signals:
        async with trio.open_nursery() as watching:
            watching.start_soon(_obey, signals, nodes, watching.cancel_scope)
            async with (
                open_node(home, config, passphrase=passphrase, progress=_Counter().show, record=wanted) as node,
                trio.open_nursery() as serving,
            ):
                await serving.start(serve, node, home.socket)
                nodes.append(node)
                alone = await _greet(node, trio.current_time() - began)
                if wanted is not None:
                    say(f"{'recording':<13}  {wanted.path}   (holds the key of this node)")
                if alone:
                    serving.start_soon(_tell_of_the_first, node, began)
                await node.wait_stopped()
                say("leaving")
                serving.cancel_scope.cancel()
            watching.cancel_scope.cancel()
    return Exit.OK


async def _obey(signals: AsyncIterable[int], nodes: list[Node], starting: trio.CancelScope) -> None:
    """The first signal leaves cleanly. The second ends the process at once: the store survives that by design."""
    asked = False
    async for _number in signals:
        if asked:
            os._exit(Exit.INTERRUPTED)
        asked = True
        if nodes:
            nodes[0].stop()
        else:
            starting.cancel()


async def _tell_of_the_first(node: Node, began: float) -> None:
    """Who starts a node wants to know when it is alone no longer."""
    import trio

    from overlay.events import PeerSeen
    from overlay.identity.node_id import format_id

    async with trio.open_nursery() as nursery:
        with node.subscribe() as events:
            if node.config.join:
                nursery.start_soon(_tell_of_silence)
            async for event in events:
                if isinstance(event, PeerSeen):
                    nursery.cancel_scope.cancel()
                    say(f"{'found':<13}  {short_id(format_id(event.id))} at {event.address}, after "
                        f"{trio.current_time() - began:.1f} s; see p2pnode peers")  # fmt: skip
                    return


async def _tell_of_silence() -> None:
    """Nothing that a stranger sends is answered, so another network looks like a machine that is off."""
    import trio

    await trio.sleep(_SILENCE_S)
    say(f"{'no answer':<13}  from where --join says, for {_SILENCE_S:.0f} s; it keeps trying. Besides a firewall,")
    say(f"{'':<13}  another --network-key, --network or --puzzle-bits looks like this")


async def _greet(node: Node, seconds: float) -> bool:
    """Returns whether nobody is known yet."""
    status = await node.command("status")
    whose = "new identity" if node.is_new else "identity"
    say(f"{whose:<13}  {short_id(node.id)}-…   (key: {node.home.key})")
    say(f"{'network':<13}  {node.network}{'' if node.config.network.key_file is None else ', private'}")
    for text in node.listen:
        say(f"{'listening':<13}  {text}")
    if node.bridge is not None:
        say(f"{'bridge':<13}  udp {node.bridge.host}:{node.bridge.port}, for peers of the package kademlia")
    say(f"{'ready':<13}  in {seconds:.1f} s, {_company(node.config, status['peers'])}")
    key_file = node.config.network.key_file
    say(how_to_join(node.ticket, node.listen, key_file="FILE" if key_file is None else key_file.name))
    return not status["peers"]


def _company(config: Config, peers: int) -> str:
    if peers:
        return f"{counted(peers, 'peer')} so far"
    looking = " and ".join(["on this LAN"] * config.lan + ["where --join says"] * bool(config.join))
    return f"no peer yet, looking {looking}" if looking else "alone: nothing to look for (no LAN, no --join)"


def _recording(file: Path | None, megabytes: int) -> Wanted | None:
    """Says at once, before a passphrase is asked for, that there is a file already."""
    if file is None:
        return None
    from p2pnode.record.recorder import Wanted
    from p2pnode.record.tape import exists

    if os.path.lexists(file):
        raise exists(file)
    return Wanted(file, megabytes * 1_000_000)


def _passphrase(home: Home) -> str | None:
    if not home.key.exists():
        return None
    from p2pnode.keyfile import needs_passphrase
    from p2pnode.ui.identity import ask_passphrase

    return ask_passphrase() if needs_passphrase(home.key) else None


#: A terminal that is closed leaves as cleanly as Ctrl-C.
_LEAVE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Counter:
    """Tells that a new identity is being searched: once, and for a terminal how far it is."""

    def __init__(self) -> None:
        self._told = 0

    def show(self, tries: int, expected: int) -> None:
        if tries < self._told:
            return
        self._told = tries + _TOLD_EVERY
        text = f"looking for a key that solves the puzzle: {tries:,} tried, about {expected:,} expected"
        say(f"{'new identity':<13}  {text}")
