"""Listens to all that the peers of a swarm send, and to what that promises."""

from __future__ import annotations

from typing import Any

import attrs

from overlay.runtime.ports import SendDatagram
from overlay.wire.decode import decode_body
from overlay.wire.envelope import peek_envelope
from overlay.wire.messages import Store, Stored, StoreStatus
from overlay.wire.records import blob_key, decode_record
from simulations.fake_keys import fake_verify
from tests.support.swarm import Swarm


@attrs.define(slots=True)
class Watch:
    """Raises AssertionError out of the running engine when a stamp comes again or goes back, or when one seq is
    signed for two values. Swarms with fake keys only."""

    swarm: Swarm
    #: Highest stamp by public key.
    stamps: dict[bytes, int] = attrs.Factory(dict)
    #: (record key, seq) -> value.
    signed: dict[tuple[bytes, int], bytes] = attrs.Factory(dict)
    #: Node -> keys of records that it said it stored.
    stored: dict[int, dict[bytes, None]] = attrs.Factory(dict)
    _sent: dict[bytes, None] = attrs.Factory(dict)
    #: Request id of a STORE -> key of its record.
    _asked: dict[bytes, bytes] = attrs.Factory(dict)
    _perform: Any = None

    def __attrs_post_init__(self) -> None:
        engine: Any = self.swarm.engine
        self._perform = engine._perform
        engine._perform = self._watch

    def highest_seq(self, key: bytes) -> int:
        return max((seq for other, seq in self.signed if other == key), default=0)

    def _watch(self, host: Any, effect: Any) -> None:
        if isinstance(effect, SendDatagram) and effect.data not in self._sent:  # a retry is the same bytes
            self._sent[effect.data] = None
            self._look(host.index, effect.data)
        self._perform(host, effect)

    def _look(self, node: int, data: bytes) -> None:
        envelope = peek_envelope(data)
        last = self.stamps.get(envelope.key, -1)
        assert envelope.stamp > last, f"node {node} used stamp {envelope.stamp} after {last}"
        self.stamps[envelope.key] = envelope.stamp
        assert envelope.kind is not None
        message = decode_body(envelope.kind, envelope.body)
        if isinstance(message, Store):
            if message.type == 1:
                key = blob_key(message.inner)
            else:
                record = decode_record(message.inner, self.swarm.realm, fake_verify)
                key = record.key
                value = self.signed.setdefault((key, record.seq), record.value)
                assert value == record.value, f"node {node} sends two values of seq {record.seq}"
            self._asked[envelope.request_id] = key
        elif isinstance(message, Stored) and message.status is StoreStatus.STORED:
            asked = self._asked.get(envelope.request_id)
            if asked is not None:  # else to a PROVIDE
                self.stored.setdefault(node, {})[asked] = None
