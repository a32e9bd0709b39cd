"""Who serves others and who is only served: keys without the puzzle, nodes behind a NAT, scopes of addresses."""

from __future__ import annotations

from overlay.events import RoleChanged
from overlay.identity.network import Network as Realm
from overlay.runtime.address import Address, Scope
from overlay.runtime.ports import Interface, SendDatagram
from overlay.wire.decode import decode_body
from overlay.wire.envelope import peek_envelope
from overlay.wire.messages import Nodes
from simulations.spec import scenario_of
from simulations.swarm import Swarm as Scenario
from tests.support.dht import named_in
from tests.support.swarm import LOOPBACK, PORT, Swarm, internet_address

PUZZLE = Realm("swarm", puzzle_bits=4)


def test_a_key_without_the_puzzle_is_served_and_in_nobodys_table() -> None:
    clients = (3, 7)
    swarm = Swarm(24, seed=1, link=LOOPBACK, fake_keys=True, realm=PUZZLE, clients=clients)
    swarm.run_for(60)
    for client in clients:
        assert swarm.command(client, "status")["role"] == "client"
        put = swarm.command(client, "put", value=b"of a client", name="x")
        assert put["stored"] >= 19
        assert swarm.command(10, "get", key=put["key"])["value"] == b"of a client"
    put = swarm.command(10, "put", value=b"of a full node")
    assert swarm.command(7, "get", key=put["key"])["value"] == b"of a full node"
    for node in range(24):
        for client in clients:
            assert swarm.keys(client).key not in swarm.peer(node).table, f"client {client} in the table of {node}"
        named = swarm.command(node, "lookup", key=swarm.id_text(3))["closest"]
        assert not {swarm.id_text(client) for client in clients} & set(named)
    for client in clients:
        held = len(swarm.peer(client).dht.store)
        assert held <= 1, "a client stores nothing for others"


def test_without_a_nat_everybody_becomes_full() -> None:
    swarm = Swarm(25, seed=2, link=LOOPBACK, fake_keys=True)
    swarm.run_for(60)
    assert [len(swarm.peer(node).table) for node in range(25)] == [24] * 25
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.run_for(30)
    assert swarm.command(late, "status")["role"] == "full"
    roles = [event.role for node, _, event in swarm.reports if node == late and isinstance(event, RoleChanged)]
    assert roles == ["full"]
    assert all(swarm.keys(late).key in swarm.peer(node).table for node in range(25))


def test_behind_a_nat_a_node_stays_a_client() -> None:
    swarm = Swarm(25, seed=3, link=LOOPBACK, fake_keys=True)
    swarm.run_for(60)
    behind = [swarm.add(start=False) for _ in range(3)]
    for node in behind:
        swarm.network.filter_inbound(node)
        swarm.engine.start(node)
    swarm.join(nodes=behind)
    # Those whom it asked when it joined reach it through that for a while, and look again within 9 minutes.
    swarm.run_for(600)
    for node in behind:
        assert swarm.command(node, "status")["role"] == "client"
        put = swarm.command(node, "put", value=b"from behind %d" % node)
        assert swarm.command(9, "get", key=put["key"])["value"] == b"from behind %d" % node
        assert swarm.command(behind[0], "get", key=put["key"])["value"] == b"from behind %d" % node
        assert all(swarm.keys(node).key not in swarm.peer(other).table for other in range(28))


def test_private_addresses_do_not_reach_the_internet() -> None:
    """One machine has both; what it knows of its LAN it tells nobody outside."""
    swarm = Swarm(0, seed=4, link=LOOPBACK, fake_keys=True)
    for index in range(16):
        outside = internet_address(index)
        inside = Address(bytes((192, 168, 7, index + 1)), PORT)
        if index < 6:  # on the internet
            node = swarm.engine.add([outside], interfaces=[Interface(outside.ip, 24)], site=index + 1)
        elif index == 6:  # in both
            interfaces = [Interface(outside.ip, 24), Interface(inside.ip, 24)]
            node = swarm.engine.add([outside, inside], interfaces=interfaces, site=99)
        else:  # on the LAN
            node = swarm.engine.add([inside], interfaces=[Interface(inside.ip, 24)], site=99)
        swarm.engine.start(node)
    leaks: list[str] = []
    perform = swarm.engine._perform

    def watched(host: object, effect: object) -> None:
        if isinstance(effect, SendDatagram) and effect.to.scope is Scope.GLOBAL:
            envelope = peek_envelope(effect.data)
            assert envelope.kind is not None
            message = decode_body(envelope.kind, envelope.body)
            if isinstance(message, Nodes):
                leaks.extend(
                    f"{address} to {effect.to}"
                    for _, address in named_in(message.v4, message.v6)
                    if address.scope is not Scope.GLOBAL
                )
        perform(host, effect)  # type: ignore[arg-type]

    swarm.engine._perform = watched  # type: ignore[method-assign]
    swarm.join(nodes=range(1, 7))
    to_both = {"address": str(swarm.network.addresses(6)[1]), "id": None}
    swarm.commands([(node, "join", {"addresses": [to_both]}) for node in range(7, 16)])
    swarm.run_for(120)
    swarm.commands([(node, "lookup", {"key": "11" * 32}) for node in range(16)])
    assert leaks == []
    for node in range(6):
        assert {contact.address.scope for contact in swarm.peer(node).table.contacts()} == {Scope.GLOBAL}
    for node in range(7, 16):
        assert len(swarm.peer(node).table) >= 9, "all of the LAN"


def test_eight_nodes_of_one_subnet_are_in_each_others_tables() -> None:
    for net in (bytes((192, 168, 1)), bytes((203, 0, 114))):
        swarm = Swarm(
            8, seed=5, link=LOOPBACK, fake_keys=True, address=lambda i, net=net: Address(net + bytes((i + 1,)), PORT)
        )
        swarm.run_for(30)
        assert [len(swarm.peer(node).table) for node in range(8)] == [7] * 8, net


def test_60_nodes_of_one_global_subnet_displace_nobody() -> None:
    """Whoever has a /24 is one party. It takes places that nobody else wants, and gives them back."""
    crowd_of_one_subnet(honest=40, sybils=60)


def crowd_of_one_subnet(*, honest: int, sybils: int) -> None:
    def address(index: int) -> Address:
        if index < honest or index >= honest + sybils:
            return internet_address(index)
        return Address(bytes((7, 7, 7, 1 + index % 250)), PORT + index // 250)

    swarm = Swarm(honest, seed=6, link=LOOPBACK, fake_keys=True, address=address)
    swarm.run_for(30)
    known = [_others(swarm, node) for node in range(honest)]
    joined = [swarm.add() for _ in range(sybils)]
    for start in range(0, sybils, 50):
        swarm.join(nodes=joined[start : start + 50])
        swarm.run_for(10)
    for node in range(honest):
        assert _others(swarm, node) >= known[node], f"in the table of node {node}"
    late = swarm.add()  # an honest newcomer finds room where the crowd sits
    swarm.join(nodes=[late])
    swarm.run_for(30)
    assert _others(swarm, late) >= min(known) - 5
    assert sum(swarm.keys(late).key in swarm.peer(node).table for node in range(honest)) >= honest // 4
    put = swarm.command(5, "put", value=b"still here", profile="cheap")
    key = bytes.fromhex(put["key"])
    assert swarm.command(honest - 1, "get", key=put["key"])["value"] == b"still here"
    wall_ms = swarm.engine.now_of(0).wall_ms
    holders = [node for node in range(honest) if swarm.peer(node).dht.store.get(key, wall_ms) is not None]
    assert len(holders) >= 15, "three of the crowd at most are among the 20"


def _others(swarm: Swarm, node: int) -> int:
    """Contacts that are not of the crowd."""
    return sum(contact.address.ip[:3] != bytes((7, 7, 7)) for contact in swarm.peer(node).table.contacts())


def test_behind_a_nat_a_node_stays_a_client_over_a_restart() -> None:
    """Its NAT still lets in whom it asked before; 10 of 13 took that for being reachable."""
    table = {
        "duration_s": 150,
        "population": {"nodes": 45, "bootstraps": 25, "nat": {"port_restricted": 0.6}},
        "timeline": [{"action": "kill", "at_s": 60, "share": 1.0, "restart_after_s": 20}],
        "workload": [{"kind": "census"}],
    }
    end = Scenario(scenario_of("restart", table), seed=1).run()
    assert end.measures["behind_nat"] > 5
    assert end.measures["behind_nat_full"] == 0
    assert end.measures["full"] == 45 - end.measures["clients"] >= 25
