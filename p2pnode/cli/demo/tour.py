"""The steps of the tour. Each does what its title says through real nodes and fails if it did not happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import entry_points
from typing import Any

import attrs

from p2pnode.cli.demo.peers import DemoPeer, wait_until
from p2pnode.ui.fail import Fail
from p2pnode.ui.render import short_id

#: Every step is far quicker; a machine that is busy with something else may not be.
PATIENCE_S = 60.0
NAME = "greeting"
STRANGERS_NAME = "from-a-stranger"

Say = Callable[[str], None]
#: Entry points of applications: a further step, as p2pnode.api.DemoPeer says.
PLUGINS = "p2pnode.demo"


@attrs.frozen(slots=True)
class Step:
    name: str
    ok: bool
    ms: int
    #: Why it failed.
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        step: dict[str, Any] = {"name": self.name, "ok": self.ok, "ms": self.ms}
        return step if self.ok else step | {"error": self.error}


def _of_applications(peers: Sequence[DemoPeer], say: Say) -> list[tuple[str, str, Callable[[], None]]]:
    steps: list[tuple[str, str, Callable[[], None]]] = []
    for entry in sorted(entry_points(group=PLUGINS), key=lambda entry: entry.name):
        step = entry.load()
        steps.append((entry.name, (step.__doc__ or entry.name).splitlines()[0].rstrip("."), partial(step, peers, say)))
    return steps


@attrs.define(slots=True, eq=False)
class Tour:
    peers: Sequence[DemoPeer]
    network: str
    say: Say
    #: What peer 2 wrote, for the steps after it.
    value: str = "hello from peer 2"
    author: str = ""

    def run(self) -> list[Step]:
        """All steps in order; after one that failed the rest would only say the same again."""
        done: list[Step] = []
        for name, title, act in (
            ("start", f"start {len(self.peers)} peers, each a process on 127.0.0.1", self.start),
            ("discovery", "peers 2 and up know only the ticket of peer 1; all find all", self.discovery),
            ("put_get", "put here, get there", self.put_get),
            ("overwrite_refused", "nobody else can overwrite it", self.overwrite_refused),
            ("kill", "kill -9 the author, get again", self.kill),
            ("restart", "start it again", self.restart),
            *_of_applications(self.peers, self.say),
        ):
            self.say(f"\n{len(done) + 1}. {title}")
            done.append(self._timed(name, act))
            if not done[-1].ok:
                self.say(f"   failed: {done[-1].error}")
                break
        return done

    def _timed(self, name: str, act: Callable[[], None]) -> Step:
        began = time.monotonic()
        error = ""
        try:
            act()
        except Fail as failure:
            error = "; ".join([failure.what, *(f"{label}: {text}" for label, text in failure.facts.items())])
        return Step(name, not error, round(1000 * (time.monotonic() - began)), error)

    # --- the steps --------------------------------------------------------------------------

    def start(self) -> None:
        first, *others = self.peers
        first.start()
        first.wait_ready()
        for peer in others:
            peer.start(join=[first.ticket])
        for peer in others:
            peer.wait_ready()
        for peer in self.peers:
            self.say(f"   peer {peer.number}   {short_id(peer.id)}   udp {peer.address}")

    def discovery(self) -> None:
        self._all_see_all()
        self.say(f"   every peer lists the {len(self.peers) - 1} others")

    def put_get(self) -> None:
        writer, reader = self.peers[1], self.peers[-1]
        put = _call(writer, "/v1/dht/put", {"value": self.value, "name": NAME})
        self.author = writer.id
        self.say(f"   peer {writer.number}   p2pnode dht put '{self.value}' --name {NAME}")
        self.say(f"            stored by {put['stored']} peers, key {put['key'][:16]}…")
        got = self._expect(reader, holders=1)
        self.say(f"   peer {reader.number}   p2pnode dht get {short_id(self.author)}/{NAME}")
        self.say(f"            {got['value']!r}, {got['holders']} holders agree")

    def overwrite_refused(self) -> None:
        other = self.peers[2]
        put = _call(other, "/v1/dht/put", {"value": "mine now", "name": NAME})
        if put["author"] == self.author:
            raise Fail("two peers have one identity")
        self._expect(self.peers[-1], holders=1)
        self.say(f"   peer {other.number} puts under the same name: that is another record, {put['key'][:16]}…")
        for holder in self.peers:
            self._forge(holder)
        self._expect(other, holders=1)
        self.say("   peer 2's record still reads as peer 2 wrote it")

    def kill(self) -> None:
        victim, reader = self.peers[1], self.peers[-1]
        victim.kill()
        got = self._expect(reader, holders=1)
        self.say(
            f"   peer 2 is dead; peer {reader.number} still reads {got['value']!r}, {got['holders']} holders agree"
        )

    def restart(self) -> None:
        peer, first = self.peers[1], self.peers[0]
        before = peer.id
        peer.start(join=[first.ticket])
        peer.wait_ready()
        if peer.id != before:
            raise Fail("it came back with another identity", facts={"before": before, "after": peer.id})
        records = peer.status()["records"]
        if records < 1:
            raise Fail("it came back without its records")
        self._all_see_all()
        self._expect(peer, holders=1)
        put = _call(peer, "/v1/dht/put", {"value": "back again", "name": NAME})
        self.value = "back again"
        got = self._expect(self.peers[-1], holders=1)
        self.say(f"   same identity {short_id(peer.id)}, {records} records from its disk, all list it at its new port")
        self.say(f"   it writes version {put['seq']}; peer {self.peers[-1].number} reads {got['value']!r}")

    # --- helpers ----------------------------------------------------------------------------

    def _all_see_all(self) -> None:
        """Each lists the others where they are now: a peer that came back has another port."""
        addresses = {peer.id: peer.address for peer in self.peers}

        def complete() -> bool:
            return all({peer.id: addresses[peer.id]} | peer.sees() == addresses for peer in self.peers)

        wait_until(complete, within_s=PATIENCE_S, what="not every peer lists all others")

    def _expect(self, reader: DemoPeer, *, holders: int) -> dict[str, Any]:
        """The record as its author wrote it last, or Fail."""
        got = _call(reader, "/v1/dht/get", {"author": self.author, "name": NAME})
        if got["value"] != self.value:
            raise Fail(f"peer {reader.number} reads {got['value']!r} instead of {self.value!r}")
        if got["holders"] < holders:
            raise Fail(f"{got['holders']} holders agree, fewer than {holders}")
        return got

    def _forge(self, holder: DemoPeer) -> None:
        """A stranger sends STORE to `holder`: its own record is taken, so the way is open; a forged one is not."""
        from overlay.identity.network import Network
        from overlay.identity.node_id import parse_id
        from overlay.runtime.address import parse_address
        from overlay.wire.registry import StoreStatus
        from p2pnode.cli.demo.stranger import Stranger

        author = bytes.fromhex(self.peers[1].status()["key"])
        network = Network(self.network, puzzle_bits=0)
        with Stranger(network, parse_address(holder.address), parse_id(holder.id)) as stranger:
            try:
                token = stranger.token()
            except TimeoutError:
                raise Fail(f"peer {holder.number} does not answer a stranger's PING") from None
            own = stranger.store(stranger.own_record(STRANGERS_NAME.encode(), b"my own"), token)
            if own is not StoreStatus.STORED:
                raise Fail(f"peer {holder.number} refused a stranger's own record: {_named(own)}")
            forged = stranger.store(stranger.forged_record(author, NAME.encode(), b"owned"), token)
            if forged is StoreStatus.STORED:
                raise Fail(f"peer {holder.number} took a forged record")
        self.say(
            f"   peer {holder.number}   a stranger's own record: {_named(own)}; forged as peer 2's: {_named(forged)}"
        )


def _named(status: Any) -> str:
    return "no answer" if status is None else status.name.lower().replace("_", " ")


def _call(peer: DemoPeer, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = peer.node.call("POST", path, body, timeout_s=PATIENCE_S)
    return answer
