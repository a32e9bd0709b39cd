"""Workloads that speak to many: messages on topics and commands of applications, and who heard of them in time."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from overlay.events import AppEvent, Event, GossipDelivered
from overlay.limits import MAX_LARGE_BODY
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Ok, Outcome
from simulations.bounds import after, between, not_negative, positive, share
from simulations.swarm import Swarm
from simulations.workload import spread

#: Nodes that start late are subscribed within this time.
_LOOK_S = 2.0
#: Pairs of message and node that are remembered, of 8 bytes: 1,000 messages to 4,000 nodes.
_MOST_HEARD = 1 << 22


@attrs.define(slots=True, eq=False)
class Message:
    """Who was to hear it, and who did."""

    began_ns: int
    #: Receiver -> its life when it was sent.
    expected: dict[int, int]
    #: By node, the life in which it heard it; 0: it did not.
    heard: array[int] = attrs.Factory(lambda: array("l"))
    #: (receiver, ns it took), until it is judged.
    took_ns: dict[int, int] = attrs.Factory(dict)


@attrs.define(slots=True, eq=False)
class Deliveries:
    """Who was to hear a message, and who did: an operation for each pair of message and receiver, judged when its time
    is over.

    A receiver that dies or is restarted meanwhile is not counted. A message that comes to an honest node again in one
    life counts as `NAME_again`, whenever that is; no application remembers what an earlier life of it heard.
    """

    swarm: Swarm
    name: str
    within_ns: int
    #: In the order in which they were sent.
    _messages: dict[str | bytes, Message] = attrs.Factory(dict)
    _remembered: int = 0

    def __attrs_post_init__(self) -> None:
        self.swarm.measures.count(f"{self.name}_again", 0)  # so that a claim finds it

    def sent(self, token: str | bytes, receivers: list[int]) -> None:
        engine = self.swarm.engine
        message = Message(engine.now_ns, {node: engine.life(node) for node in receivers})
        self._messages[token] = message
        engine.call_at(engine.now_ns + self.within_ns, lambda: self._judge(message))

    def heard(self, node: int, at_ns: int, token: object) -> None:
        message = self._messages.get(token) if isinstance(token, str | bytes) else None
        if message is None or node in self.swarm.adversaries:
            return
        if node >= len(message.heard):
            more = len(self.swarm) - len(message.heard)
            message.heard.extend([0] * more)
            self._remember(more)
        life = self.swarm.engine.life(node)
        if message.heard[node] == life:
            self.swarm.measures.count(f"{self.name}_again")
            return
        message.heard[node] = life
        if message.expected.get(node) == life:
            message.took_ns[node] = at_ns - message.began_ns

    def _remember(self, more: int) -> None:
        """Forget the oldest that are judged, so that a long scenario of many nodes does not fill the memory."""
        self._remembered += more
        while self._remembered > _MOST_HEARD and not next(iter(self._messages.values())).expected:
            self._remembered -= len(self._messages.pop(next(iter(self._messages))).heard)

    def _judge(self, message: Message) -> None:
        operations, life = self.swarm.measures.operation(self.name), self.swarm.engine.life
        for node, expected in message.expected.items():
            if life(node) == expected:
                took_ns = message.took_ns.get(node)
                operations.add(
                    message.began_ns, self.within_ns if took_ns is None else took_ns, took_ns is not None
                )  # fmt: skip
        message.expected.clear()
        message.took_ns.clear()


def _entries(swarm: Swarm, part: object, same: Callable[[Any], bool]) -> list[Any]:
    """Entries of the workload that are the same in something, before this one."""
    found: list[Any] = []
    for entry in swarm.scenario.workload:
        if entry is part:
            return found
        if type(entry) is type(part) and same(entry):
            found.append(entry)
    return []


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
    #: Bytes of a message; what does not fit into a datagram goes by stream.
    size: int = attrs.field(default=100, validator=between(16, MAX_LARGE_BODY))
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
        entry = len(_entries(swarm, self, lambda other: other.topic == self.topic))
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
            lambda number: self._one(swarm, rng, entry, number, subscribed, deliveries),
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
        self, swarm: Swarm, rng: Rng, entry: int, number: int, subscribed: dict[int, int], deliveries: Deliveries
    ) -> None:
        honest = swarm.honest()
        if not honest:
            return
        node, began_ns = rng.choice(honest), swarm.engine.now_ns
        body = b"%08d%08d" % (entry, number) + bytes(self.size - 16)
        life = swarm.engine.life
        deliveries.sent(body, [other for other in honest if other != node and subscribed.get(other) == life(other)])

        def ended(outcome: Outcome, took_ns: int) -> None:
            swarm.measures.operation("publish").add(began_ns, took_ns, isinstance(outcome, Ok))

        swarm.ask(node, "publish", {"topic": self.topic, "body": body}, ended)


@attrs.frozen(slots=True, kw_only=True)
class AppCommand:
    """Random honest nodes get a command of an application; `{n}` in a text becomes the number of the message, counted
    through all entries for that application.

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
        if self.heard and not (isinstance(text := self.args[self.field], str) and "{n}" in text):
            raise ValueError(
                f"args.{self.field} is the same in every message, so who heard which would not be known: "
                'put {n} into it, as in "message {n}"'
            )

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("app-command", self.app, self.command, self.from_s)
        before = sum(entry.count for entry in _entries(swarm, self, lambda other: other.app == self.app))
        deliveries = None
        if self.heard:
            deliveries = Deliveries(swarm, f"{self.app}.{self.heard}", round(self.within_s * SECOND))
            swarm.watchers.append(partial(self._watch, deliveries))
        spread(
            swarm, self.count, self.from_s, _last_s(swarm, self.to_s, self.within_s),
            lambda number: self._one(swarm, rng, before + number, deliveries),
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
