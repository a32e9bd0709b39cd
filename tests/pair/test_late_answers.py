"""Answers that come late, and what a node does in its first seconds: a busy machine is not a dead one."""

from __future__ import annotations

from overlay.wire import messages as m
from tests.support.pair import A, B, Pair, messages, pair


def listed(link: Pair, side: str) -> list[str]:
    return [row["id"] for row in link.command(side, "peers")]


def test_who_answers_a_join_after_all_tries_is_known_all_the_same() -> None:
    link = pair()
    asked = link.ask("a", "join", {"addresses": [{"address": str(B)}]})
    link.advance(4)
    assert link.results["a", asked].value["joined"] == 0  # type: ignore[union-attr]
    link.settle(0.1)
    assert listed(link, "a") == [link.id_text("b")]
    assert link.counted("a", "late answers")


def test_the_one_ping_to_a_newcomer_may_be_answered_late() -> None:
    link = pair()
    link.ask("a", "ping", {"peer": str(B)})
    link.deliver()
    while messages(link.wire)[0].KIND is not m.Kind.PING:
        link.deliver()
    link.advance(0.9)  # b has given it up
    link.deliver()
    link.deliver_all()
    assert listed(link, "b") == [link.id_text("a")]


def test_an_answer_after_many_seconds_does_not_count() -> None:
    link = pair()
    link.ask("a", "ping", {"peer": str(B)})
    link.deliver()
    pong = next(one for one in link.wire if one.to == A and messages([one])[0].KIND is m.Kind.PONG)
    link.wire.clear()
    link.advance(14)
    link.inject("a", B, pong.data)
    assert listed(link, "a") == []


def test_a_late_answer_counts_once() -> None:
    link = pair()
    asked = link.ask("a", "ping", {"peer": str(B)})
    link.deliver()
    pong = next(one for one in link.wire if one.to == A and messages([one])[0].KIND is m.Kind.PONG)
    link.wire.clear()
    link.advance(4)
    outcome = link.results["a", asked]
    link.inject("a", B, pong.data)
    link.inject("a", B, pong.data)
    assert link.results["a", asked] is outcome
    assert link.counted("a", "late answers") == 1
    assert link.counted("a", "dropped: unexpected reply") == 1


def test_a_newcomer_whose_first_contact_was_lost_is_met_within_two_seconds() -> None:
    """Five nodes on a busy machine once took 20 s to find each other: the next look around was that far away."""
    link = pair()
    link.ask("a", "join", {"addresses": [{"address": str(B)}]})
    for _ in range(30):  # b's pings are lost, and then a has nothing more to ask
        while link.wire:
            lost = link.wire[0].side == "b" and messages([link.wire[0]])[0].KIND is m.Kind.PING
            (link.drop if lost else link.deliver)()
        link.advance(0.01)
    assert listed(link, "b") == []
    link.settle(2)
    assert listed(link, "b") == [link.id_text("a")]
