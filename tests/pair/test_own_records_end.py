"""A record with an end is forgotten by its author at that end, not at the next hourly round: it makes room."""

from __future__ import annotations

from tests.support.pair import pair


def test_a_record_that_ended_makes_room() -> None:
    link = pair().met()
    link.command("a", "put", {"value": b"short", "ttl_s": 20})
    link.command("a", "put", {"value": b"long", "ttl_s": 2000})
    assert len(link.command("a", "own")) == 2

    link.settle(40)

    assert [own["expires_s"] > 1900 for own in link.command("a", "own")] == [True]
