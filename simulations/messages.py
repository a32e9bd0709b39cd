"""Workloads that speak to many: messages on topics and commands of applications, and who heard of them in time."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs

from overlay.events import AppEvent, Event, GossipDelivered
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Ok, Outcome
from simulations.bounds import after, between, not_negative, positive, share
from simulations.swarm import Swarm
from simulations.workload import spread

#: Nodes that start late are subscribed within this time.
_LOOK_S = 2.0


@attrs.define(slots=True, eq=False)
class Deliveries:
    """Who was to hear a message, and who did: an operation for each pair of message and receiver.

    A receiver that dies meanwhile is not counted. A message that comes to one node again counts as `NAME_again`.
    """

    swarm: Swarm
    name: str
    within_ns: int
    #: Token -> (when it was sent, receiver -> its life then, None once it heard).
    _open: dict[Any, tuple[int, dict[int, int | None]]] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        self.swarm.measures.count(f"{self.name}_again", 0)  # so that a claim finds it

    def sent(self, token: Any, receivers: list[int]) -> None:
        engine = self.swarm.engine
        self._open[token] = engine.now_ns, {node: engine.life(node) for node in receivers}
        engine.call_at(engine.now_ns + self.within_ns, lambda: self._close(token))

    def heard(self, node: int, at_ns: int, token: Any) -> None:
        began_ns, waiting = self._open.get(token, (0, {}))
        if node not in waiting:
            return
        if waiting[node] is None:
            self.swarm.measures.count(f"{self.name}_again")
            return
        waiting[node] = None
        self.swarm.measures.operation(self.name).add(began_ns, at_ns - began_ns, True)

    def _close(self, token: Any) -> None:
        began_ns, waiting = self._open.pop(token)
        for node, life in waiting.items():
            if life is not None and self.swarm.engine.life(node) == life:
                self.swarm.measures.operation(self.name).add(began_ns, self.within_ns, False)


def _last_s(swarm: Swarm, to_s: float | None, within_s: float) -> float:
    """What is sent later could not be judged before the end."""
    last = swarm.scenario.duration_s - within_s
    return last if to_s is None else min(to_s, last)


@attrs.frozen(slots=True, kw_only=True)
class Publish:
    """Random honest nodes publish on a topic. `delivery`: one operation for each message and subscriber.

    Measured: `publish_success`, `delivery_success` (the share that heard it in time), `delivery_p50_ms`,
    `delivery_p99_ms`, and `delivery_again`, the number of deliveries that were repeated.
    """

    topic: str = "news"
    count: int = attrs.field(default=50, validator=positive)
    #: Bytes of a message.
    size: int = attrs.field(default=100, validator=between(16, 900))
    #: Share of the nodes that subscribe.
    subscribers: float = attrs.field(default=1.0, validator=share)
    #: Subscriptions begin; the first message follows after `settle_s`.
    from_s: float = attrs.field(default=40.0, validator=not_negative)
    settle_s: float = attrs.field(default=20.0, validator=not_negative)
    to_s: float | None = attrs.field(default=None, validator=after("from_s"))
    within_s: float = attrs.field(default=10.0, validator=positive)

    def __attrs_post_init__(self) -> None:
        first_s = self.from_s + self.settle_s
        if self.to_s is not None and self.to_s <= first_s:
            what = f"expected more than from_s and settle_s, {first_s:g}, found {self.to_s:g}"
            raise ValueError(what, attrs.fields(Publish).to_s)

    @property
    def earliest_s(self) -> float:
        """Of the first message it is known then who heard it."""
        return self.from_s + self.settle_s + self.within_s

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("publish", self.topic, self.from_s)
        deliveries = Deliveries(swarm, "delivery", round(self.within_s * SECOND))
        #: Node -> the life in which it subscribed.
        subscribed: dict[int, int] = {}

        def watch(node: int, at_ns: int, event: Event) -> None:
            if isinstance(event, GossipDelivered) and event.topic == self.topic:
                deliveries.heard(node, at_ns, event.body)

        swarm.watchers.append(watch)
        swarm.every(_LOOK_S, lambda: self._subscribe(swarm, subscribed), begin_s=self.from_s)
        spread(
            swarm, self.count, self.from_s + self.settle_s, _last_s(swarm, self.to_s, self.within_s),
            lambda number: self._one(swarm, rng, number, subscribed, deliveries),
        )  # fmt: skip

    def _subscribe(self, swarm: Swarm, subscribed: dict[int, int]) -> None:
        most = round(self.subscribers * (1 << 32))
        for node in swarm.honest():
            life = swarm.engine.life(node)
            if subscribed.get(node) == life or swarm.rng("subscribe", self.topic, node).u64() >> 32 >= most:
                continue
            subscribed[node] = life
            swarm.ask(node, "subscribe", {"topic": self.topic}, lambda _outcome, _took: None)

    def _one(
        self, swarm: Swarm, rng: Rng, number: int, subscribed: dict[int, int], deliveries: Deliveries
    ) -> None:
        honest = swarm.honest()
        if not honest:
            return
        node, began_ns = rng.choice(honest), swarm.engine.now_ns
        body = b"%016d" % number + bytes(self.size - 16)
        life = swarm.engine.life
        deliveries.sent(body, [other for other in honest if other != node and subscribed.get(other) == life(other)])

        def ended(outcome: Outcome, took_ns: int) -> None:
            swarm.measures.operation("publish").add(began_ns, took_ns, isinstance(outcome, Ok))

        swarm.ask(node, "publish", {"topic": self.topic, "body": body}, ended)


@attrs.frozen(slots=True, kw_only=True)
class AppCommand:
    """Random honest nodes get a command of an application; `{n}` in a text becomes the number of the message.

    With `heard`, every other honest node is expected to emit that event, with a `field` that equals the argument of
    that name. Measured: `APP.COMMAND_success`, `APP.HEARD_success` and its latencies, as for `publish`.
    """

    app: str
    command: str
    args: dict[str, Any] = attrs.Factory(dict)
    count: int = attrs.field(default=50, validator=positive)
    #: Event that all others emit when the message reached them.
    heard: str = ""
    field: str = "text"
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    to_s: float | None = attrs.field(default=None, validator=after("from_s"))
    within_s: float = attrs.field(default=10.0, validator=positive)

    @property
    def earliest_s(self) -> float:
        return self.from_s + self.within_s

    def __attrs_post_init__(self) -> None:
        if self.heard and self.field not in self.args:
            raise ValueError(f"heard = {self.heard!r} is told by field {self.field!r}, which is not in args")

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("app-command", self.app, self.command, self.from_s)
        deliveries = None
        if self.heard:
            deliveries = Deliveries(swarm, f"{self.app}.{self.heard}", round(self.within_s * SECOND))
            swarm.watchers.append(partial(self._watch, deliveries))
        spread(
            swarm, self.count, self.from_s, _last_s(swarm, self.to_s, self.within_s),
            lambda number: self._one(swarm, rng, number, deliveries),
        )  # fmt: skip

    def _watch(self, deliveries: Deliveries, node: int, at_ns: int, event: Event) -> None:
        if isinstance(event, AppEvent) and (event.app, event.name) == (self.app, self.heard):
            deliveries.heard(node, at_ns, dict(event.fields).get(self.field))

    def _one(self, swarm: Swarm, rng: Rng, number: int, deliveries: Deliveries | None) -> None:
        honest = swarm.honest()
        if not honest:
            return
        node, began_ns = rng.choice(honest), swarm.engine.now_ns
        args = {
            key: value.replace("{n}", str(number)) if isinstance(value, str) else value
            for key, value in self.args.items()
        }
        if deliveries is not None:
            deliveries.sent(args[self.field], [other for other in honest if other != node])

        def ended(outcome: Outcome, took_ns: int) -> None:
            swarm.measures.operation(f"{self.app}.{self.command}").add(began_ns, took_ns, isinstance(outcome, Ok))

        swarm.ask(node, "app", {"app": self.app, "command": self.command, "args": args}, ended)
