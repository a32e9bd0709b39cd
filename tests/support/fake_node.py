"""A node without a network, for the control API and the command line: a dict of records and a few made-up peers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from overlay.events import AppEvent, Event, GossipDelivered
from overlay.identity.node_id import format_id, node_id_of
from overlay.wire.records import signed_key
from p2pnode.driver import CommandFailed
from p2pnode.reports import Reports, Subscription

KEY = bytes(range(32))
ID = format_id(node_id_of(KEY))
OTHERS = tuple(format_id(node_id_of(bytes([n]) * 32)) for n in range(1, 4))


@attrs.define(slots=True, eq=False)
class FakeNode:
    """Implements p2pnode.control.view.NodeView. `fails[name]` makes a command fail, `hold` makes it wait."""

    records: dict[str, tuple[bytes, int | None]] = attrs.Factory(dict)
    provided: dict[str, list[str]] = attrs.Factory(dict)
    fails: dict[str, tuple[Any, ...]] = attrs.Factory(dict)
    hold: dict[str, trio.Event] = attrs.Factory(dict)
    #: Commands in the order they came.
    asked: list[tuple[str, dict[str, Any]]] = attrs.Factory(list)
    stopped: trio.Event = attrs.Factory(trio.Event)
    listen: Sequence[str] = ("udp 127.0.0.1:4433",)
    started_at: float = attrs.Factory(trio.current_time)
    network: str = "p2pnode"
    ticket: str = "p2pnode-ticket-of-the-fake"
    version: str = "0.1.0"
    #: Peers that a message is sent to.
    receivers: int = 2
    runs_chat: bool = True
    #: What commands of applications answer, by (application, command): a value, what fails them, or a function of args.
    answers: dict[tuple[str, str], Any] = attrs.Factory(dict)
    #: What commands of applications wait for: that this other one is given.
    slow: dict[tuple[str, str], str] = attrs.Factory(dict)
    _reports: Reports = attrs.Factory(Reports)
    _changed: trio.Event = attrs.Factory(trio.Event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a command, a new listener or one that left makes true."""
        with trio.fail_after(30):
            while not condition():
                await self._changed.wait()

    def _poke(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def command(self, name: str, /, **args: Any) -> Any:
        self.asked.append((name, args))
        self._poke()
        if args.get("hold") and name not in self.fails:
            await trio.sleep_forever()
        if name in self.hold:
            await self.hold[name].wait()
        if name == "app" and (other := self.slow.get((args["app"], args["command"]))) is not None:
            await self.until(lambda: any(asked.get("command") == other for _, asked in self.asked))
        if name in self.fails:
            raise CommandFailed(*self.fails[name])
        return getattr(self, f"_{name}")(**args)

    def stop(self) -> None:
        self.stopped.set()

    @contextmanager
    def subscribe(self, *, kept: int) -> Iterator[Subscription]:
        try:
            with self._reports.subscribe(kept=kept) as subscription:
                self._poke()
                yield subscription
        finally:
            self._poke()

    @property
    def listeners(self) -> int:
        return len(self._reports)

    def emit(self, event: Event) -> None:
        self._reports.tell(event)

    # --- the commands -----------------------------------------------------------------------

    def _status(self) -> dict[str, Any]:
        return {
            "id": ID,
            "key": KEY.hex(),
            "network": self.network,
            "network_id": "ab" * 32,
            "role": "full",
            "peers": 3,
            "table": 3,
            "records": len(self.records),
            "streams": {"open": 4, "incoming": 1, "handshakes": 2, "dials": 0, "plain": 3},
            "counters": {"datagrams_in": 7, "bad_message": 2},
        }

    def _peers(self) -> list[dict[str, Any]]:
        return [
            {
                "id": peer,
                "address": f"192.0.2.{n}:4433",
                "rtt_ms": 0.25 * n if n < 3 else None,
                "last_seen_s": 1.5 * n,
                "role": "full",
                "score": None,
            }
            for n, peer in enumerate(OTHERS, 1)
        ]

    def _ping(self, peer: str) -> dict[str, Any]:
        for n, known in enumerate(OTHERS, 1):
            if known.startswith(peer) or peer == f"192.0.2.{n}:4433":
                return {"id": known, "address": f"192.0.2.{n}:4433", "rtt_ms": 0.25 * n}
        raise CommandFailed("not_found", f"no peer is known by {peer}")

    def _put(
        self,
        value: bytes,
        name: str | None = None,
        salt: bytes | None = None,
        ttl_s: int | None = None,
        profile: str = "secure",
        cas: int | None = None,
    ) -> dict[str, Any]:
        salt = name.encode() if name is not None else salt
        if salt is None:
            key = hashlib.sha256(b"p2pnode/blob/1" + value).hexdigest()
            self.records[key] = (value, None)
            return {"key": key, "kind": "blob", "stored": 3, "others": 2, "rpcs": 9, "expires_s": ttl_s}
        key = hashlib.sha256(b"p2pnode/signed/1" + node_id_of(KEY) + salt).hexdigest()
        seq = (self.records[key][1] or 0) + 1 if key in self.records else 1
        self.records[key] = (value, seq)
        holders = {"stored": 3, "others": 2, "rpcs": 9, "expires_s": ttl_s}
        return {"key": key, "kind": "signed", "seq": seq, "author": ID} | holders

    def _get(self, key: str | None = None, author: str | None = None, name: str | None = None) -> dict[str, Any]:
        if key is None:
            assert name is not None
            key = hashlib.sha256(b"p2pnode/signed/1" + node_id_of(KEY) + name.encode()).hexdigest()
        if key not in self.records:
            raise CommandFailed("not_found", "nobody who was asked has this record")
        value, seq = self.records[key]
        kind, who = ("blob", None) if seq is None else ("signed", ID)
        return {"key": key, "kind": kind, "value": value, "author": who, "seq": seq, "holders": 3, "rpcs": 5}

    def _lookup(self, key: str) -> dict[str, Any]:
        return {"closest": list(OTHERS), "rpcs": 4, "hops": 1, "paths": 1}

    def _provide(self, key: str, ttl_s: int | None = None) -> dict[str, Any]:
        self.provided.setdefault(key, []).append(ID)
        return {"key": key, "stored": 3, "others": 2, "rpcs": 6}

    def _providers(self, key: str) -> dict[str, Any]:
        found = [{"id": who, "address": "192.0.2.9:4433", "expires_s": 86400.0} for who in self.provided.get(key, [])]
        return {"key": key, "providers": found, "rpcs": 4}

    def _table(self) -> dict[str, Any]:
        contacts = [
            {"id": peer["id"], "address": peer["address"], "rtt_ms": peer["rtt_ms"], "failures": 0, "since_s": 12.5}
            for peer in self._peers()
        ]
        return {"buckets": [{"depth": 0, "contacts": contacts, "replacements": 1}]}

    def _own(self) -> list[dict[str, Any]]:
        return [
            {
                "key": key, "kind": "signed" if seq else "blob", "name": b"greeting" if seq else None, "seq": seq,
                "expires_s": 86400.0 if seq else None,
            }
            for key, (_, seq) in self.records.items()
        ]  # fmt: skip

    def _forget(self, key: str = "", name: str = "", salt: bytes = b"") -> dict[str, Any]:
        key = key or signed_key(node_id_of(KEY), name.encode() or salt).hex()
        if key not in self.records:
            raise CommandFailed("not_found", f"this node publishes nothing under {key}")
        _, seq = self.records.pop(key)
        return {"key": key, "withdrawn": ["signed" if seq else "blob"]}

    def _join(self, addresses: list[dict[str, Any]]) -> dict[str, Any]:
        return {"joined": len(addresses), "others": []}

    def _topics(self) -> list[dict[str, Any]]:
        known = {"name": "news", "subscribed": True, "mesh": 2, "known": 3, "seen": 7, "dropped": 0}
        return [known, known | {"name": "weather", "subscribed": False}]

    def _publish(self, topic: str, body: bytes) -> dict[str, Any]:
        """Who listens hears it, as from the first of the others."""
        self.emit(GossipDelivered(topic, node_id_of(bytes([1]) * 32), 7, body))
        return {"topic": topic, "peers": self.receivers}

    def _subscribe(self, topic: str) -> None:
        """Without `hold`."""

    def _apps(self) -> list[dict[str, Any]]:
        chat = [{"name": "chat", "commands": ["say", "who"], "stored": 12}] if self.runs_chat else []
        others = {app: [name for of, name in self.answers if of == app] for app, _ in self.answers}
        return chat + [{"name": app, "commands": names, "stored": 0} for app, names in others.items()]

    def _app(self, app: str, command: str, args: dict[str, Any]) -> Any:
        if (app, command) in self.answers:
            answer = self.answers[app, command]
            if isinstance(answer, CommandFailed):
                raise answer
            return answer(args) if callable(answer) else answer
        if (app, command) != ("chat", "say"):
            raise CommandFailed("not_found", f"no application {app!r} runs here (there are: chat)")
        self.emit(AppEvent(app, "said", (("author", node_id_of(KEY)), ("text", args.get("text")))))
        return args.get("answer", 2)
