"""Who left the table in silence, and the places to join at: how often each is asked whether it is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from overlay.dht.healing import ASK_EVERY_NS, Healing
from overlay.rpc.contact import Contact
from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Now
from tests.support.dht import internet, lan

SEED = parse_address("10.9.9.9:4433")


@attrs.define
class Network:
    """What Healing wants of a DhtState: a table that does not change, and requests that are answered or not."""

    present: list[Contact]
    alive: frozenset[Address] = frozenset()
    now: Now = attrs.Factory(lambda: Now(0, 0))
    rng: Rng = attrs.Factory(lambda: Rng(1))
    #: Address -> how often it was asked.
    asked: dict[Address, int] = attrs.Factory(dict)

    @property
    def loop(self) -> Network:
        return self

    @property
    def endpoint(self) -> Network:
        return self

    @property
    def table(self) -> Network:
        return self

    def contacts(self) -> list[Contact]:
        return self.present

    def __contains__(self, key: bytes) -> bool:
        return any(contact.key == key for contact in self.present)

    def request(self, to: Address, _message: object, *, on_reply: Callable[..., object], **_: object) -> None:
        self.asked[to] = self.asked.get(to, 0) + 1
        if to in self.alive:
            on_reply(Contact(bytes(32), bytes(32), 0, to, bytes(32) + to.packed), None)

    def run(self, healing: Healing, minutes: int) -> None:
        for _ in range(minutes * 60 * SECOND // ASK_EVERY_NS):
            self.now = Now(self.now.mono_ns + ASK_EVERY_NS, 0)
            healing.ask([SEED])


def healing_in(network: Any) -> Healing:
    return Healing(network, None, lambda: None)  # type: ignore[arg-type]


def test_a_place_to_join_at_that_answers_and_has_no_room_is_left_alone_for_five_minutes() -> None:
    network = Network(lan(100), alive=frozenset([SEED]))
    network.run(healing_in(network), 30)
    assert 5 <= network.asked[SEED] <= 7


def test_one_that_is_silent_is_asked_every_minute() -> None:
    network = Network(lan(100))
    network.run(healing_in(network), 30)
    assert 29 <= network.asked[SEED] <= 31


def test_a_few_that_went_home_are_asked_once_a_minute_all_together() -> None:
    network = Network(lan(100), alive=frozenset([SEED]))
    healing = healing_in(network)
    for contact in internet(10):
        healing.remember(contact)
    network.run(healing, 30)
    assert sum(network.asked.values()) <= 31


def test_many_that_left_at_once_are_asked_every_twenty_seconds() -> None:
    network = Network(lan(100), alive=frozenset([SEED]))
    healing = healing_in(network)
    for contact in internet(40):
        healing.remember(contact)
    network.run(healing, 30)
    assert sum(network.asked.values()) == 90
