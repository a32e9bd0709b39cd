"""What is conserved is conserved: datagrams, commands, addresses; and time goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from overlay.runtime.address import Scope
from simulations.invariants.base import Broken, Rotation

if TYPE_CHECKING:
    from simulations.swarm import Swarm


class Conserved:
    """Every datagram was delivered, was lost, found nobody or is under way; every command ended or is under way, at
    the node and at its peer alike; every address has one owner."""

    name: ClassVar[str] = "conserved"

    def __init__(self, swarm: Swarm) -> None:
        self._turn = Rotation(200)

    def sample(self, swarm: Swarm) -> list[Broken]:
        found = [
            Broken(self.name, node, swarm.now_s, f"the peer serves {served} commands, {given} were given")
            for node, peer in self._turn.peers(swarm)
            if swarm.engine.awake(node)
            and (served := len(peer._commands)) != (given := len(swarm.engine.hosts[node].commands))
        ]
        return found + [Broken(self.name, None, swarm.now_s, what) for what in self._balances(swarm)]

    def at_end(self, swarm: Swarm) -> list[Broken]:
        return self.sample(swarm) + [
            Broken(self.name, node, swarm.now_s, f"it shares {address} with node {owner}")
            for address, owner, node in _shared(swarm)
        ]

    def _balances(self, swarm: Swarm) -> list[str]:
        engine, network, effects = swarm.engine, swarm.network, swarm.engine.effects
        out = []
        under_way = engine.under_way()
        if effects.arrivals != effects.delivered + effects.refused + engine.undelivered + under_way:
            out.append(
                f"{effects.arrivals} datagrams arrive: {effects.delivered} delivered, {effects.refused} lost, "
                f"{engine.undelivered} found nobody, {under_way} under way"
            )
        passed = network.sent - (sum(network.lost.values()) - effects.refused)
        if not passed <= effects.arrivals <= 2 * passed:  # each of them once, or twice
            out.append(f"the network let {passed} datagrams pass, {effects.arrivals} arrive")
        running = sum(len(host.commands) for host in engine.hosts)
        if engine.commands_given != engine.commands_ended + running:
            out.append(f"{engine.commands_given} commands: {engine.commands_ended} ended, {running} under way")
        return out


def _shared(swarm: Swarm) -> list[tuple[str, int, int]]:
    owners: dict[str, int] = {}
    shared = []
    for node in range(len(swarm)):
        for address in swarm.network.addresses(node):
            # A private address is one of its site's.
            if address.scope is Scope.GLOBAL and owners.setdefault(str(address), node) != node:
                shared.append((str(address), owners[str(address)], node))
    return shared


class TimeGoesOn:
    """Neither the time of the swarm nor that of a peer goes back, and no peer is ahead of the swarm."""

    name: ClassVar[str] = "time-goes-on"

    def __init__(self, swarm: Swarm) -> None:
        self._turn = Rotation(200)
        self._last_ns = 0
        #: (node, life) -> monotonic clock at the last look.
        self._seen: dict[int, tuple[int, int]] = {}

    def sample(self, swarm: Swarm) -> list[Broken]:
        engine, broken = swarm.engine, []
        if engine.now_ns < self._last_ns:
            broken.append(Broken(self.name, None, swarm.now_s, "the time of the swarm went back"))
        self._last_ns = engine.now_ns
        for node, peer in self._turn.peers(swarm):
            now_ns = peer.loop.now.mono_ns
            life, before_ns = self._seen.get(node, (0, 0))
            if now_ns > engine.now_ns:
                broken.append(Broken(self.name, node, swarm.now_s, "its clock is ahead of the swarm"))
            if life == engine.life(node) and now_ns < before_ns:
                broken.append(Broken(self.name, node, swarm.now_s, "its monotonic clock went back"))
            self._seen[node] = engine.life(node), now_ns
        return broken

    def at_end(self, swarm: Swarm) -> list[Broken]:
        return self.sample(swarm)
