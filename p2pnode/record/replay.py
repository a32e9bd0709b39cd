"""Feeds a recording to a fresh core and says whether it did the same, or where it first did something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import attrs

from overlay.app import work_of
from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.peer import Peer
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Compute, Effect, Failed, Now, Ok, Outcome
from overlay.secure.noise import Suite
from p2pnode.parts import load_apps, terms_of
from p2pnode.record.items import ACCOUNT_BYTES, AGAIN, Tag, account_text, accounts_of, call_of, effect_text, input_text
from p2pnode.record.ports import MemoryStore, RecordedStorage, SeededEntropy
from p2pnode.record.tape import NotARecording, open_reader


@attrs.frozen(slots=True)
class Difference:
    """The first input at which the core did something else."""

    input: int
    at_s: float
    #: The input, in words.
    what: str
    recorded: list[str]
    replayed: list[str]


@attrs.define(slots=True)
class Verdict:
    """What a replay has seen so far."""

    #: Versions and names that made the recording; no secrets.
    made_by: dict[str, Any]
    inputs: dict[str, int] = attrs.field(factory=dict)
    effects: int = 0
    #: From the first input to the last one that was fed.
    duration_s: float = 0.0
    difference: Difference | None = None
    #: Everything that can be read was fed; `damage` says if that is not all of it.
    whole: bool = False
    #: Why the recorder stopped; None, if `whole`: it did not say, the node was killed.
    ended: str | None = None
    #: What is wrong with the file after what was fed, and where.
    damage: str | None = None
    #: That is no more than a last item cut short: the node was killed while it wrote.
    torn: bool = False
    #: What was read of the file, and all of it.
    read_bytes: int = 0
    file_bytes: int = 0

    @property
    def identical(self) -> bool:
        """All that the recorder wrote was compared, or all that was asked for, and is the same."""
        return self.difference is None and (self.damage is None or self.torn)

    @property
    def fed(self) -> int:
        return sum(self.inputs.values())


@attrs.define(slots=True)
class _Step:
    """One input and what belongs to it."""

    tag: int
    now: Now
    args: list[Any]
    #: Numbers and texts of refused writes.
    refusals: list[tuple[int, str]] = attrs.field(factory=list)
    #: GAVE or RAISED; None: the node died within.
    end: list[Any] | None = None


class Replay:
    """A recording that is open, and the core it is fed to: `run`, then `peer` is as it was there. `close` it."""

    def __init__(self, path: Path) -> None:
        """NotARecording if the file cannot be read up to its first input, SettingError if an application is missing."""
        self._reader = open_reader(path)
        self._items = iter(self._reader)
        self._store = MemoryStore()
        try:
            header = self._header()
            self._first = self._opening()
            self.verdict = Verdict({name: header[name] for name in ("p2pnode", "python", "apps")})
            self.peer, self._functions = _peer_of(header, self._store)
            #: What was asked for and not answered yet.
            self._computing: dict[int, Compute] = {}
        except (BadMessage, KeyError, TypeError, ValueError, LocalError) as error:
            self.close()
            raise self._broken(f"{type(error).__name__}: {error}") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._reader.close()

    def run(self, *, to_ns: int | None = None, to_input: int | None = None) -> Verdict:
        """Feed inputs until the core does something else, the file ends, or one comes that is later than `to_ns`
        after the first, or is number `to_input` (the first is 1; it is fed). Once."""
        verdict = self._run(to_ns, to_input)
        verdict.read_bytes, verdict.file_bytes = self._reader.at, self._reader.file_bytes
        return verdict

    def _run(self, to_ns: int | None, to_input: int | None) -> Verdict:
        verdict = self.verdict
        first_ns: int | None = None
        try:
            for step in self._steps():
                first_ns = step.now.mono_ns if first_ns is None else first_ns
                elapsed = step.now.mono_ns - first_ns
                if to_ns is not None and elapsed > to_ns:
                    return verdict
                name = Tag(step.tag).name.lower()
                verdict.inputs[name] = verdict.inputs.get(name, 0) + 1
                verdict.duration_s = elapsed / SECOND
                verdict.difference = self._feed(step)
                if verdict.difference is not None or verdict.fed == to_input:
                    return verdict
            verdict.whole = True
        except (BadMessage, ValueError) as error:  # ValueError: a tag of a later version
            verdict.damage = f"{error} (at byte {self._reader.at})"
        if self._reader.damage is not None:
            verdict.damage = f"{self._reader.damage} (at byte {self._reader.at})"
            # The recorder writes nothing after its last word.
            verdict.torn = self._reader.torn and verdict.whole and verdict.ended is None
        return verdict

    def _feed(self, step: _Step) -> Difference | None:
        method, args = call_of(step.tag, step.args)
        if step.tag == Tag.DONE:
            compute, outcome = self._computing.pop(args[0], None), args[1]
            if outcome is AGAIN and compute is not None:
                outcome = _computed(self._functions[compute.function], compute.args)
            args = args[0], outcome
        for number, text in step.refusals:
            self._store.refuse(number, text)
        raised: Exception | None = None
        try:
            getattr(self.peer, method)(step.now, *args)
        except Exception as error:
            raised = error
        effects = self.peer.outbox()
        self._computing |= {effect.id: effect for effect in effects if isinstance(effect, Compute)}
        self.verdict.effects += len(effects)
        deadline = self.peer.next_deadline()
        after = None if deadline is None else deadline - step.now.mono_ns
        match step.end:
            case None:  # nobody knows what it did there
                return None
            case [Tag.GAVE, recorded_after, accounts]:
                if raised is None and recorded_after == after and accounts == accounts_of(effects):
                    return None
            case [Tag.RAISED, name, _]:
                if raised is not None and type(raised).__name__ == name:
                    return None
        verdict = self.verdict
        words = input_text(step.tag, step.args)
        return Difference(verdict.fed, verdict.duration_s, words, _recorded(step.end), _done(effects, after, raised))

    # --- reading ----------------------------------------------------------------------------

    def _header(self) -> dict[str, Any]:
        match next(self._items, None):
            case [Tag.HEADER, dict(header)]:
                return header
        raise self._broken(self._reader.damage or "it has no header")

    def _opening(self) -> list[Any]:
        """Fills the storage; returns the first input."""
        for item in self._items:
            match item:
                case [Tag.ROWS, *rows]:
                    for key, value in zip(rows[::2], rows[1::2], strict=True):
                        self._store.load(key, value)
                case [Tag.REFUSED, int(number), str(text)]:
                    self._store.refuse(number, text)
                case _:
                    return item  # type: ignore[no-any-return]
        raise self._broken(self._reader.damage or "it ends before the first input")

    def _steps(self) -> Iterator[_Step]:
        step: _Step | None = None
        now = Now(0, 0)
        for item in chain([self._first], self._items):
            match item:
                case [int(tag), int(mono_ns), int(wall_ms), *args] if tag >= Tag.START:
                    if step is not None:
                        yield step
                    now = Now(now.mono_ns + mono_ns, now.wall_ms + wall_ms)
                    step = _Step(tag, now, args)
                case [Tag.REFUSED, int(number), str(text)] if step is not None:
                    step.refusals.append((number, text))
                case [Tag.GAVE, int() | None, bytes()] | [Tag.RAISED, str(), str()] if step is not None:
                    step.end = item
                    yield step
                    step = None
                case [Tag.END, str(reason)]:
                    self.verdict.ended = reason
                case _:
                    raise BadMessage("an item that no recorder writes there")
        if step is not None:
            yield step

    def _broken(self, reason: str) -> NotARecording:
        facts = {"file": str(self._reader.path), "reason": reason, "at byte": str(self._reader.at)}
        return NotARecording("the recording cannot be replayed", facts=facts)


def replay(path: Path, *, to_ns: int | None = None, to_input: int | None = None) -> Verdict:
    """The verdict alone; errors as those of Replay."""
    opened = Replay(path)
    try:
        return opened.run(to_ns=to_ns, to_input=to_input)
    finally:
        opened.close()


def _peer_of(header: dict[str, Any], store: MemoryStore) -> tuple[Peer, dict[str, Callable[..., Any]]]:
    """And the pure functions of its applications."""
    named = header["network"]
    network = Network(
        named["name"], puzzle_bits=named["puzzle_bits"], psk=named["psk"],
        params=tuple((name, value) for name, value in named["params"]),
    )  # fmt: skip
    # Older recordings have no such settings.
    assumed = header.get("assume_valid")
    terms = terms_of(
        network, bittorrent=header.get("bittorrent", True), light=header.get("light", False),
        prune=header.get("prune", 0), assume_valid=None if assumed is None else (assumed[0], assumed[1]),
    )  # fmt: skip
    apps = [one.app for one in load_apps(header["apps"], terms)]
    peer = Peer(
        network=network, keys=KeyPair.from_seed(header["key"]), storage=RecordedStorage(store, lambda *_: None),
        rng=Rng(header["rng"]), entropy=SeededEntropy(header["entropy"]), apps=apps,
        suite=Suite(header.get("suite", Suite.AESGCM)),  # recordings of before it was chosen have none
    )  # fmt: skip
    return peer, work_of(apps)[0]


def _computed(function: Callable[..., Any], args: tuple[Any, ...]) -> Outcome:
    try:
        return Ok(function(*args))
    except Exception as error:  # it did not raise when it was recorded
        return Failed("failed", f"{type(error).__name__}: {error}")


def _recorded(end: list[Any]) -> list[str]:
    match end:
        case [Tag.GAVE, after, accounts]:
            parts = [accounts[at : at + ACCOUNT_BYTES] for at in range(0, len(accounts), ACCOUNT_BYTES)]
            return [*map(account_text, parts), _timer(after)]
        case [_, name, text]:
            return [f"raised {name}: {text}"]
    return []


def _done(effects: list[Effect], after: int | None, raised: Exception | None) -> list[str]:
    texts = [effect_text(effect) for effect in effects]
    return [*texts, _timer(after) if raised is None else f"raised {type(raised).__name__}: {raised}"]


def _timer(after: int | None) -> str:
    return "no timer" if after is None else f"timer in {after} ns"
