"""Stands between a node and its core, and writes down what passes.

`begin` before the core is made: it draws chance and reads the storage from its first moment. Then

    recorder = begin(wanted, network=..., pair=..., apps=..., storage=store, terms=...)
    peer = Peer(..., storage=recorder.storage, rng=recorder.rng, entropy=recorder.entropy)
    Driver(recorder.core(peer), udp, store)
    recorder.close()

What hinders the recording (its limit, a full disk, a value that is no plain data) ends the recording, never the node.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

import p2pnode
from overlay.errors import LimitError, LocalError
from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Compute, Core, Effect, Interface, Now, Outcome, Storage, StreamCore, StreamEvent
from overlay.secure.noise import Suite
from overlay.wire import cbor
from p2pnode.record import plain
from p2pnode.record.items import COMPUTED, Tag, accounts_of, packed_outcome, packed_stream
from p2pnode.record.ports import RecordedStorage, SeededEntropy
from p2pnode.record.tape import MAX_ITEM, RecordingError, Writer
from p2pnode.shells import Terms

log = logging.getLogger(__name__)

#: Bytes: 18 days at one message a second.
DEFAULT_LIMIT = 1_000_000_000
#: For the item that says why a recording ended.
_RESERVE = 1024
#: Rows of the storage come in items of about this size.
_ROWS = 64 * 1024


@attrs.frozen(slots=True)
class Wanted:
    """A recording that a user asked for."""

    path: Path
    #: Bytes at which it ends.
    limit: int = DEFAULT_LIMIT


def begin(
    wanted: Wanted, *, network: Network, pair: KeyPair, apps: Sequence[str], storage: Storage, terms: Terms,
    suite: Suite = Suite.AESGCM, chance: Callable[[int], bytes] = os.urandom,
) -> Recorder:  # fmt: skip
    """Makes the file and writes all that a fresh core needs. RecordingError if that cannot be, or is over the limit."""
    rng, entropy = int.from_bytes(chance(8), "big"), chance(32)
    header = {
        "p2pnode": p2pnode.__version__,
        "python": f"{sys.implementation.name} {sys.version.split()[0]}",
        "network": {
            "name": network.name, "puzzle_bits": network.puzzle_bits, "psk": network.psk,
            "params": [list(param) for param in network.params],
        },
        "key": pair.seed,
        "rng": rng,
        "entropy": entropy,
        "apps": list(apps),
        "bittorrent": terms.bittorrent,
        "light": terms.light,
        "prune": terms.prune,
        "assume_valid": None if terms.assume_valid is None else list(terms.assume_valid),
        "suite": int(suite),
    }  # fmt: skip
    writer = Writer(wanted.path)
    try:
        writer.append(cbor.encode([Tag.HEADER, header]))
        for rows in _chunks(storage):
            writer.append(cbor.encode([Tag.ROWS, *rows]))
            if writer.size > wanted.limit - _RESERVE:
                raise RecordingError(
                    "the store of this node alone is larger than the recording may become",
                    facts={"file": str(wanted.path), "limit": f"{wanted.limit} bytes", "raise it": "--record-limit MB"},
                )
        writer.flush()
    except OSError as error:
        _discard(writer)
        facts = {"file": str(wanted.path), "reason": error.strerror or str(error)}
        raise RecordingError("the recording cannot be written", facts=facts) from None
    except BaseException:
        _discard(writer)
        raise
    return Recorder(writer, wanted.limit, storage, rng, entropy)


def _chunks(storage: Storage) -> Iterator[list[bytes]]:
    rows: list[bytes] = []
    size = 0
    for key, value in storage.scan(b""):
        rows += key, value
        size += len(key) + len(value)
        if size >= _ROWS:
            yield rows
            rows, size = [], 0
    yield rows


def _discard(writer: Writer) -> None:
    """Nothing ran: no file is left that would stand in the way of the next try."""
    writer.close()
    writer.path.unlink(missing_ok=True)


class Unrecorded:
    """In the place of a Recorder, of a node that is not recorded."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.rng = Rng(int.from_bytes(os.urandom(8), "big"))
        self.entropy = os.urandom

    def core(self, core: Core) -> Core:
        return core

    def close(self) -> None:
        pass


class Recorder:
    """Made by `begin`; `close` it after the last input."""

    def __init__(self, writer: Writer, limit: int, storage: Storage, rng: int, entropy: bytes) -> None:
        self._writer: Writer | None = writer
        self.path = writer.path
        self._limit = limit
        self._mono_ns = self._wall_ms = 0
        self._began = False
        #: For the core.
        self.storage = RecordedStorage(storage, self._refused)
        self.rng = Rng(rng)
        self.entropy = SeededEntropy(entropy)

    @property
    def is_running(self) -> bool:
        return self._writer is not None

    def core(self, core: Core) -> RecordedCore:
        """What the driver is given instead of `core`."""
        return RecordedCore(core, self)

    def close(self, reason: str = "the node ended") -> None:
        """Nothing is recorded any more."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if not self._began:
            _discard(writer)
            return
        try:
            writer.append(cbor.encode([Tag.END, reason]))
            writer.flush()
        except OSError as error:
            log.warning("the end of the recording could not be written: %s", error.strerror or error)
        writer.close()

    # --- for the core and the storage -------------------------------------------------------

    def took(self, tag: Tag, now: Now, *args: Any) -> None:
        """Before the core is given the input, so that one at which it raises is on the tape."""
        item = [tag, now.mono_ns - self._mono_ns, now.wall_ms - self._wall_ms, *args]
        self._mono_ns, self._wall_ms = now.mono_ns, now.wall_ms
        self._began = True
        self._append(item)

    def took_values(self, tag: Tag, now: Now, values: Callable[[], list[Any]]) -> None:
        """The same, of values that may be no plain data."""
        if self._writer is None:
            return
        try:
            args = values()
        except plain.Unrecordable as error:
            self._stop(f"{tag.name.lower()} {error}")
            return
        self.took(tag, now, *args)

    def gave(self, now: Now, effects: list[Effect], deadline: int | None) -> None:
        if self._writer is not None:
            after = None if deadline is None else deadline - now.mono_ns
            self._append([Tag.GAVE, after, accounts_of(effects)])

    def raised(self, error: Exception) -> None:
        self._append([Tag.RAISED, type(error).__name__, str(error).encode(errors="backslashreplace").decode()])
        self.close("the core raised")

    def flush(self) -> None:
        """Before what the core wanted is done: whatever others have seen of this node is on the tape."""
        if self._writer is not None:
            try:
                self._writer.flush()
            except OSError as error:
                self._stop(error.strerror or str(error))

    def _refused(self, number: int, error: LimitError) -> None:
        self._append([Tag.REFUSED, number, str(error)])

    def _append(self, item: list[Any]) -> None:
        if self._writer is None:
            return
        try:
            encoded = cbor.encode(item)
            if len(encoded) > MAX_ITEM:
                self._stop(f"an input of {len(encoded)} bytes is too long to be read again")
            elif self._writer.size + len(encoded) > self._limit - _RESERVE:
                self._stop(f"it has reached its limit of {self._limit} bytes (--record-limit)")
            else:
                self._writer.append(encoded)
        except OSError as error:
            self._stop(error.strerror or str(error))
        except LocalError as error:  # cbor.encode: bytes that are none of Python's, a number beyond 64 bits
            self._stop(str(error))

    def _stop(self, reason: str) -> None:
        log.warning("the recording %s ends here, the node goes on: %s", self.path, reason)
        self.close(reason)


class RecordedCore:
    """A Core that hands everything on, and tells the recorder."""

    __slots__ = ("_computing", "_core", "_effects", "_recorder")

    def __init__(self, core: Core, recorder: Recorder) -> None:
        self._core = core
        self._recorder = recorder
        self._effects: list[Effect] = []
        #: Ids of Compute that were not answered yet.
        self._computing: set[int] = set()

    def start(self, now: Now, /) -> None:
        self._recorder.took(Tag.START, now)
        self._do(now, self._core.start)

    def handle_datagram(self, now: Now, source: Address, data: bytes, /) -> None:
        self._recorder.took(Tag.DATAGRAM, now, source.ip, source.port, source.zone, data)
        self._do(now, self._core.handle_datagram, source, data)

    def handle_stream(self, now: Now, event: StreamEvent, /) -> None:
        core: StreamCore = self._core  # type: ignore[assignment]  # a Peer
        self._recorder.took(Tag.STREAM, now, *packed_stream(event))
        self._do(now, core.handle_stream, event)

    def handle_timer(self, now: Now, /) -> None:
        self._recorder.took(Tag.TIMER, now)
        self._do(now, self._core.handle_timer)

    def handle_command(self, now: Now, id: int, name: str, args: dict[str, Any], /) -> None:
        self._recorder.took_values(Tag.COMMAND, now, lambda: [id, name, plain.pack(args)])
        self._do(now, self._core.handle_command, id, name, args)

    def handle_cancel(self, now: Now, id: int, /) -> None:
        self._recorder.took(Tag.CANCEL, now, id)
        self._do(now, self._core.handle_cancel, id)

    def handle_done(self, now: Now, id: int, outcome: Outcome, /) -> None:
        def values() -> list[Any]:
            try:
                return [id, packed_outcome(outcome)]
            except plain.Unrecordable:
                if id not in self._computing:
                    raise
                return [id, COMPUTED]

        self._recorder.took_values(Tag.DONE, now, values)
        self._computing.discard(id)
        self._do(now, self._core.handle_done, id, outcome)

    def handle_network(self, now: Now, interfaces: tuple[Interface, ...], /) -> None:
        self._recorder.took(Tag.NETWORK, now, *([i.ip, i.prefix_len, i.zone] for i in interfaces))
        self._do(now, self._core.handle_network, interfaces)

    def next_deadline(self) -> int | None:
        return self._core.next_deadline()

    def outbox(self) -> list[Effect]:
        self._recorder.flush()
        effects, self._effects = self._effects, []
        return effects

    def _do(self, now: Now, handle: Callable[..., None], *args: Any) -> None:
        try:
            handle(now, *args)
        except Exception as error:
            self._recorder.raised(error)
            raise
        effects = self._core.outbox()
        self._computing.update(effect.id for effect in effects if isinstance(effect, Compute))
        self._recorder.gave(now, effects, self._core.next_deadline())
        self._effects += effects
