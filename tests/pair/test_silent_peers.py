"""What commands say while nobody answers: that, and not that nothing is there."""

from __future__ import annotations

import pytest

from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of
from tests.support.pair import Pair, keys_of, make_peer, pair

KEY = bytes(range(32)).hex()


def deaf() -> Pair:
    """a knows b, which is stopped since."""
    link = pair().met()
    stop(link)
    return link


def stop(link: Pair) -> None:
    link.replace("b", make_peer(9, network=Network("other", puzzle_bits=0)))  # which answers nothing of ours


@pytest.mark.parametrize("name", ["get", "lookup", "providers"])
def test_a_question_that_nobody_answered_is_not_answered_with_nothing(name: str) -> None:
    failed = deaf().fails("a", name, {"key": KEY})
    assert failed.code == "timed_out"
    assert "no peer answered" in failed.message


def test_what_this_node_provides_itself_is_said_without_others() -> None:
    link = pair().met()
    link.command("a", "provide", {"key": KEY})
    stop(link)
    assert link.id_text("a") in [row["id"] for row in link.command("a", "providers", {"key": KEY})["providers"]]


def test_a_known_peer_is_pinged_again_after_it_was_silent() -> None:
    link = deaf()
    stopped = format_id(node_id_of(keys_of(2).key))
    for _ in range(3):
        failed = link.fails("a", "ping", {"peer": stopped})
        assert (failed.code, "10.0.0.2:4433" in failed.message) == ("timed_out", True)
    assert link.fails("a", "ping", {"peer": format_id(bytes(32))}).code == "not_found"


def test_a_peer_that_said_goodbye_is_not_known() -> None:
    link = pair().met()
    link.command("b", "leave")
    link.deliver_all()
    assert link.fails("a", "ping", {"peer": link.id_text("b")}).code == "not_found"
