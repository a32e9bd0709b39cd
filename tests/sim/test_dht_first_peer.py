"""What was put and announced before anybody was there reaches the first peer that comes."""

from __future__ import annotations

from tests.support.swarm import LOOPBACK, Swarm

KEY = "5a" * 32


def test_the_first_peer_is_given_what_was_put_before_it_came() -> None:
    swarm = Swarm(1, seed=3, link=LOOPBACK, fake_keys=True)
    blob = swarm.command(0, "put", value=b"early")
    signed = swarm.command(0, "put", value=b"early too", name="e", profile="cheap")
    provided = swarm.command(0, "provide", key=KEY)
    assert (blob["stored"], blob["others"]) == (signed["stored"], signed["others"]) == (1, 0)
    assert provided["others"] == 0

    swarm.run_for(100)
    swarm.add()
    swarm.join(through=0)
    swarm.run_for(15)
    swarm.kill(0)  # without a word: what is there now is what the other holds

    assert swarm.command(1, "get", key=blob["key"])["value"] == b"early"
    assert swarm.command(1, "get", author=swarm.id_text(0), name="e")["value"] == b"early too"
    assert [one["id"] for one in swarm.command(1, "providers", key=KEY)["providers"]] == [swarm.id_text(0)]


def test_peers_that_all_went_cost_a_put_a_minute_not_a_storm() -> None:
    swarm = Swarm(3, seed=3, link=LOOPBACK, fake_keys=True)
    swarm.run_for(30)
    swarm.kill(1)
    swarm.kill(2)
    for number in range(5):
        swarm.command(0, "put", value=b"value %d" % number)
    peer = swarm.peer(0)
    before = peer.dht.next_lookup
    swarm.run_for(600)
    assert peer.dht.next_lookup - before <= 5 * 2 * 11 + 60, "two lookups a record and minute, and upkeep"
