"""Where the nodes of a swarm are: addresses, sites, boxes that translate, regions, access lines. All by seed and index,
so that node 7 of seed 1 is at the same place whatever else a scenario has."""

from __future__ import annotations

from typing import Final

import attrs

from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, SECOND, Interface
from simulations.host import seed_of
from simulations.links import MILLION
from simulations.nat import Gateway, Nat
from simulations.network import Network
from simulations.pipe import Pipe
from simulations.regions import NAMES
from simulations.scenario import MAX_NODES, Population

PORT: Final = 4433
#: What a box gives the only node behind it.
_AT_HOME: Final = Address(bytes((192, 168, 1, 10)), PORT)
_BYTES_IN_MBIT: Final = 125_000


def internet_address(index: int, *, per_24: int = 1) -> Address:
    """Global addresses in different /24 (or so many in each), and in different /16 as far as possible (80 x 256)."""
    net = index // per_24
    return Address(bytes((20 + net % 80, net // 80 % 256, net // 20_480 % 256, 7 + index % per_24)), PORT)


def lan_address(index: int) -> Address:
    """One network 10.0.0.0/8."""
    return Address(bytes((10, index // 50_000, index // 200 % 250, 1 + index % 200)), PORT)


@attrs.define(slots=True)
class Places:
    """`place` of a population decides; who moves is somewhere else from then on."""

    seed: int
    spec: Population
    _moves: dict[int, int] = attrs.Factory(dict)

    def address(self, index: int) -> Address:
        """The own address, a private one behind a box."""
        moves = self._moves.get(index, 0)
        if self.spec.place == "lan":
            return lan_address(index + MAX_NODES * moves)
        if self.spec.place == "sites" and index >= self.spec.bootstraps:
            member = (index - self.spec.bootstraps) // self.spec.sites
            return Address(bytes((10, moves, member // 200, 1 + member % 200)), PORT)
        if self.nat(index) is not None:
            return _AT_HOME
        return self._global(index)

    def interfaces(self, index: int) -> tuple[Interface, ...] | None:
        """None: on a /24."""
        return (Interface(self.address(index).ip, 8),) if self.spec.place == "lan" else None

    def site(self, index: int) -> int:
        """The LAN that it is on, or behind whose box it is; 0 where that says nothing."""
        if index < self.spec.bootstraps or self.spec.place == "lan":
            return 0
        moves = self._moves.get(index, 0)
        if self.spec.place == "sites":
            return 1 + (index - self.spec.bootstraps + moves) % self.spec.sites
        return 1 + index + MAX_NODES * moves if self.nat(index) is not None else 0

    def nat(self, index: int) -> Nat | None:
        """The box that it is behind; those through which others join are behind none, a site is always behind one."""
        if index < self.spec.bootstraps or self.spec.place == "lan":
            return None
        if self.spec.place == "sites":
            return self._drawn(self.site(index)) or Nat.PORT_RESTRICTED
        return self._drawn(index)

    def neighbours(self, index: int) -> list[int]:
        """Some that it would find on its LAN: the first two of its site."""
        if self.spec.place != "sites" or index < self.spec.bootstraps:
            return []
        first = self.spec.bootstraps + self.site(index) - 1
        return [node for node in (first, first + self.spec.sites) if node != index]

    def move(self, index: int) -> None:
        """To another address: of the same LAN, in another site, behind another box, or elsewhere on the internet."""
        self._moves[index] = self._moves.get(index, 0) + 1

    def settle(self, network: Network, index: int) -> None:
        """Give the network all but the addresses of a node that was added, or moved."""
        nat, site = self.nat(index), self.site(index)
        if nat is not None and not network.has_gateway(site):
            sites = self.spec.place == "sites"
            ip = bytes((150, *divmod(site, 256), 1)) if sites else self._global(index).ip
            network.gateway(site, Gateway(ip, nat, round(self.spec.nat.expire_s * SECOND)))
        network.set_region(index, Rng(seed_of(self.seed, "region", index)).below(len(NAMES)))
        access = self.spec.access
        if access is None or index < self.spec.bootstraps or network.has_pipe(index):
            return
        if Rng(seed_of(self.seed, "access", index)).below(MILLION) < round(access.share * MILLION):
            queue_ns = round(access.queue_ms * MS)
            up, down = (round(mbit * _BYTES_IN_MBIT) for mbit in (access.up_mbit, access.down_mbit))
            network.set_pipes(index, up=Pipe(up, queue_ns), down=Pipe(down, queue_ns))

    def _global(self, index: int) -> Address:
        moves = self._moves.get(index, 0)
        if moves:
            return internet_address(index + MAX_NODES * moves)
        return internet_address(index, per_24=self.spec.per_24)

    def _drawn(self, index: int) -> Nat | None:
        shares = self.spec.nat
        drawn = Rng(seed_of(self.seed, "nat", index)).below(MILLION)
        for nat in Nat:
            drawn -= round(getattr(shares, nat.value) * MILLION)
            if drawn < 0:
                return nat
        return None
