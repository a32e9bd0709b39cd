"""N peers on the engine, for tests that ask what a network as a whole does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from overlay.errors import LocalError
from overlay.events import Event
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network as Realm
from overlay.identity.node_id import format_id, node_id_of
from overlay.identity.puzzle import solves
from overlay.peer import Peer
from overlay.rpc.contact import ContactBook
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, SECOND, Core, Entropy, Failed, Interface, Outcome, Storage
from overlay.wire.codec import WIRE
from simulations.engine import Engine, MakePeer
from simulations.fake_keys import FakeKeyPair, fake_verify
from simulations.memo import remembering
from simulations.network import INTERNET, Link, Network

PORT = 4433
#: Processes of one machine, each busy with other things: a fifth of a millisecond to two.
LOOPBACK = Link(latency_ns=(200_000, 2 * MS))
#: Two continents: 20 to 120 ms one way.
WAN = Link(latency_ns=(20 * MS, 120 * MS))
#: A puzzle costs time and shows nothing here.
REALM = Realm("swarm", puzzle_bits=0)


class CommandFailed(Exception):
    """A command of a peer ended without a value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def internet_address(index: int) -> Address:
    """Global addresses in different /24, and in different /16 as far as possible (80 x 256 of them)."""
    return Address(bytes((20 + index % 80, index // 80 % 256, index // 20_480 % 256, 7)), PORT)


def lan_address(index: int) -> Address:
    """One network 10.0.0.0/8."""
    return Address(bytes((10, 0, index // 200, 1 + index % 200)), PORT)


class Swarm:
    """`n` peers, started and (unless `join=False`) joined through node 0.

    Without `make_peer` they are real peers with keys of their own that share one ContactBook. With
    `fake_keys` their signatures are cheap (simulations/fake_keys.py), a datagram that nobody changed is not
    decoded again (simulations/memo.py), and all decisions are the same (test_codecs.py). `address`
    places nodes elsewhere than `lan` says. Keys of nodes in `clients` fail the puzzle of `realm`.
    """

    def __init__(
        self,
        n: int,
        *,
        seed: int = 0,
        make_peer: MakePeer | None = None,
        link: Link = INTERNET,
        lan: bool = False,
        join: bool = True,
        traced: bool = False,
        fake_keys: bool = False,
        realm: Realm = REALM,
        address: Callable[[int], Address] | None = None,
        clients: Collection[int] = (),
    ) -> None:
        self.seed = seed
        self.realm = realm
        self._fake_keys = fake_keys
        self._clients = clients
        self.network = Network(link)
        #: (node, time in ns, event), in order.
        self.reports: list[tuple[int, int, Event]] = []
        self.engine = Engine(
            make_peer if make_peer is not None else self._real_peer,
            seed=seed,
            network=self.network,
            on_report=lambda node, at_ns, event: self.reports.append((node, at_ns, event)),
            traced=traced,
        )
        self._lan = lan
        self._address = address if address is not None else lan_address if lan else internet_address
        self._keys: dict[int, KeyPair] = {}
        if clients and not realm.puzzle_bits:
            raise LocalError("every key solves a puzzle of 0 bits: clients need another realm")
        self._book = ContactBook()
        self._codec = remembering() if fake_keys else WIRE
        for _ in range(n):
            self.add()
        if join and n > 1:
            self.join()

    def __len__(self) -> int:
        return len(self.engine)

    # --- nodes ---

    def add(self, *, start: bool = True) -> int:
        """One more node, not joined; its index."""
        index = len(self.engine)
        address = self._address(index)
        node = self.engine.add([address], interfaces=[Interface(address.ip, 8)] if self._lan else None)
        if start:
            self.engine.start(node)
        return node

    def join(self, *, through: int = 0, nodes: Iterable[int] | None = None) -> None:
        """Have `nodes` (all others) join through one node, all at the same time."""
        others = [node for node in (nodes if nodes is not None else range(len(self))) if node != through]
        address = {"address": str(self.address(through)), "id": None}
        self.commands([(node, "join", {"addresses": [address]}) for node in others])

    def address(self, node: int) -> Address:
        return self.network.addresses(node)[0]

    def keys(self, node: int) -> KeyPair:
        keys = self._keys.get(node)
        if keys is None:
            rng = Rng(self.seed << 32 | node)
            while True:
                keys = KeyPair.from_seed(rng.bytes(32))
                if solves(node_id_of(keys.key), self.realm.puzzle_bits) is (node not in self._clients):
                    break
            self._keys[node] = keys
        return keys

    def id(self, node: int) -> bytes:
        return node_id_of(self.keys(node).key)

    def id_text(self, node: int) -> str:
        return format_id(self.id(node))

    def alive(self) -> list[int]:
        return [node for node in range(len(self)) if self.engine.alive(node)]

    def closest(self, key: bytes, k: int, *, but: int = -1) -> list[int]:
        """The k living nodes nearest to `key` by brute force, without node `but`."""
        target = int.from_bytes(key, "big")
        others = [node for node in self.alive() if node != but]
        return sorted(others, key=lambda node: int.from_bytes(self.id(node), "big") ^ target)[:k]

    def peer(self, node: int) -> Any:
        """The core, for looking only."""
        return self.engine.peer(node)

    def kill(self, node: int, *, power_loss: bool = False) -> None:
        self.engine.kill(node, power_loss=power_loss)

    def restart(self, node: int, *, power_loss: bool = False) -> None:
        """Kill it if it lives, and start it on what its storage kept. It is not joined by this."""
        self.engine.restart(node, power_loss=power_loss)

    def partition(self, *groups: Iterable[int]) -> None:
        self.network.partition(*groups)

    def heal(self) -> None:
        self.network.heal()

    # --- time and commands ---

    def run_for(self, seconds: float) -> None:
        self.engine.run_until(self.engine.now_ns + round(seconds * SECOND))

    def command(self, node: int, name: str, /, *, within_s: float = 120, **args: Any) -> Any:
        """The value of a command, running the engine until it is there. Raises CommandFailed, TimeoutError."""
        [outcome] = self.outcomes([(node, name, args)], within_s=within_s)
        return _value(outcome)

    def commands(self, asked: Iterable[tuple[int, str, dict[str, Any]]], *, within_s: float = 120) -> list[Any]:
        """As `command`, for many that run at the same time."""
        return [_value(outcome) for outcome in self.outcomes(asked, within_s=within_s)]

    def outcomes(self, asked: Iterable[tuple[int, str, dict[str, Any]]], *, within_s: float = 120) -> list[Outcome]:
        """As `commands`, failures included."""
        asked = list(asked)
        done: dict[int, Outcome] = {}
        for number, (node, name, args) in enumerate(asked):
            self.engine.command(node, name, args, lambda outcome, number=number: done.__setitem__(number, outcome))
        until_ns = self.engine.now_ns + round(within_s * SECOND)
        if not self.engine.run_while(lambda: len(done) < len(asked), until_ns=until_ns):
            missing = [f"{asked[n][1]} at node {asked[n][0]}" for n in range(len(asked)) if n not in done]
            raise TimeoutError(f"no result within {within_s} virtual s: {', '.join(missing[:5])}")
        return [done[number] for number in range(len(asked))]

    def _real_peer(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Core:
        keys = self.keys(index)
        return Peer(
            network=self.realm, keys=FakeKeyPair(keys.key) if self._fake_keys else keys, storage=storage, rng=rng,
            entropy=entropy, verifier=fake_verify if self._fake_keys else verify, book=self._book, codec=self._codec,
        )  # fmt: skip


def _value(outcome: Outcome) -> Any:
    if isinstance(outcome, Failed):
        raise CommandFailed(outcome.code, outcome.message)
    return outcome.value
