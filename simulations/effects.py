"""Carries out what peers want done, each effect with its delay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from overlay.events import Event
from overlay.runtime.address import Address
from overlay.runtime.ports import Commit, Compute, Effect, Operate, Outcome, Report, Result, SendDatagram, Sync
from simulations.datagrams import kind_of
from simulations.host import Host
from simulations.streams import Streams
from simulations.work import Work

if TYPE_CHECKING:
    from simulations.engine import Engine

#: (index of the node, time in ns, event).
OnReport = Callable[[int, int, Event], object]


class Effects:
    """Those of the peers of one engine."""

    __slots__ = ("_engine", "_on_report", "_streams", "_work", "arrivals", "arriving", "delivered", "refused")

    def __init__(self, engine: Engine, work: Work, streams: Streams, on_report: OnReport | None) -> None:
        self._engine = engine
        self._work = work
        self._streams = streams
        self._on_report = on_report
        #: Datagrams that the network let pass, copies counted; of them, those that a peer got, and those that were
        #: lost on arrival.
        self.arrivals = self.delivered = self.refused = 0
        #: Handlers of datagrams that are under way.
        self.arriving = (self._deliver, self._queue)

    def perform(self, host: Host, effect: Effect) -> None:
        """Nothing reaches the peer before this call ends: what comes of an effect is an event."""
        engine = self._engine
        if isinstance(effect, SendDatagram):  # nearly all of them
            to, data = effect.to, effect.data
            kind = kind_of(data)
            engine.kinds[kind] = engine.kinds.get(kind, 0) + 1
            for tap in engine.taps:
                tap(host.index, to, data)
            self.send(host, to, data)
            return
        now_ns, work = engine.now_ns, self._work
        match effect:
            case Result(command_id, outcome):
                if engine.inputs is not None:
                    engine.inputs.result(now_ns, host.index, command_id, outcome)
                on_result = host.commands.pop(command_id, None)
                if on_result is not None:
                    engine.commands_ended += 1
                    on_result(outcome)
            case Report(event):
                if engine.inputs is not None:
                    engine.inputs.report(now_ns, host.index, event)
                if self._on_report is not None:
                    self._on_report(host.index, now_ns, event)
            case Commit(effect_id):
                mark = host.storage.mark()
                engine.push(host, now_ns + work.delays.commit_ns, self._committed, host, effect_id, mark)
            case Sync(effect_id):
                mark = host.storage.mark()
                engine.push(host, now_ns + work.delays.sync_ns, self._synced, host, effect_id, mark)
            case Compute(effect_id):
                at_ns, outcome = work.compute(host, effect, now_ns)
                engine.push(host, at_ns, self._done, host, effect_id, outcome)
            case Operate(effect_id):
                at_ns, outcome = work.operate(host, effect, now_ns)
                engine.push(host, at_ns, self._done, host, effect_id, outcome)
            case _:
                self._streams.perform(host, effect)

    def send(self, host: Host, to: Address, data: bytes, source: Address | None = None) -> None:
        """Give the network a datagram; `source`: what its receiver is to take for its source."""
        engine, network = self._engine, self._engine.network
        now_ns = engine.now_ns
        for arrival in network.send(host.index, to, len(data), host.rng, now_ns=now_ns):
            self.arrivals += 1
            deliver = self._queue if arrival.node in network.downs else self._deliver
            # Any life: a datagram does not know that the process behind the port is another.
            engine.push(
                host, now_ns + arrival.delay_ns, deliver, engine.hosts[arrival.node], source or arrival.source, data,
                any_life=True,
            )  # fmt: skip

    def _queue(self, host: Host, source: Address, data: bytes) -> None:
        """Through a line that does not take all at once."""
        engine = self._engine
        wait_ns = engine.network.downs[host.index].take(len(data), engine.now_ns)
        if wait_ns is None:
            engine.network.lose("queue")
            self.refused += 1
        else:
            engine.push(host, engine.now_ns + wait_ns, self._deliver, host, source, data, any_life=True)

    def _deliver(self, host: Host, source: Address, data: bytes) -> None:
        if host.pause is not None and (reason := host.pause.refuses(len(data))) is not None:
            self._engine.network.lose(reason)
            self.refused += 1
            return
        assert host.peer is not None
        self.delivered += 1
        self._engine.feed(host, host.peer.handle_datagram, source, data)

    def _committed(self, host: Host, effect_id: int, mark: int) -> None:
        self._done(host, effect_id, self._work.write(host, mark, sync=False))

    def _synced(self, host: Host, effect_id: int, mark: int) -> None:
        self._done(host, effect_id, self._work.write(host, mark, sync=True))

    def _done(self, host: Host, effect_id: int, outcome: Outcome) -> None:
        assert host.peer is not None
        self._engine.feed(host, host.peer.handle_done, effect_id, outcome)
