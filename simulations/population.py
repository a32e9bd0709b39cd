"""Who the nodes of a swarm are: their keys, their addresses, and the peers that run on them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

import attrs

from overlay.app import App
from overlay.identity.keys import KeyPair, Signer, Verifier, verify
from overlay.identity.network import Network as Realm
from overlay.identity.node_id import format_id, node_id_of
from overlay.identity.puzzle import solves
from overlay.peer import Peer
from overlay.rpc.contact import ContactBook
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Entropy, Interface, Storage
from overlay.wire.codec import WIRE
from overlay.wire.codec import Codec as WireCodec
from simulations.fake_keys import FakeKeyPair, fake_verify
from simulations.host import seed_of
from simulations.memo import remembering
from simulations.places import PORT, Places


class Codec(enum.Enum):
    """How much of the real work of a datagram is done. Decisions are the same at every rung."""

    #: As `fast`, and a datagram that nobody changed is not decoded and verified again (simulations.memo).
    OBJECTS = "objects"
    #: Real bytes, signatures by a fast hash.
    FAST = "fast"
    #: Real bytes and real Ed25519.
    REAL = "real"


@attrs.define(slots=True)
class Population:
    """Keys by seed and index, so that node 7 of seed 1 is the same in every scenario."""

    seed: int
    realm: Realm
    codec: Codec
    places: Places
    #: Makes the applications of one node; called at every start of it.
    apps: Callable[[int], Sequence[App]] = lambda index: ()
    #: Keys of these must fail the puzzle.
    clients: frozenset[int] = frozenset()
    #: The peers of a swarm share the objects of their contacts.
    book: ContactBook = attrs.Factory(ContactBook)
    _wire: WireCodec = attrs.field(init=False)
    _keys: dict[int, KeyPair] = attrs.Factory(dict)
    _numbers: dict[int, int] = attrs.Factory(dict)
    _addresses: dict[int, Address] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        self._wire = remembering() if self.codec is Codec.OBJECTS else WIRE

    @property
    def verifier(self) -> Verifier:
        """Checks what the nodes of this swarm sign."""
        return verify if self.codec is Codec.REAL else fake_verify

    def address(self, index: int) -> Address:
        chosen = self._addresses.get(index)
        if chosen is not None:
            return chosen
        return self.places.address(index)

    def set_address(self, index: int, address: Address) -> None:
        """For who chooses where it is, before it is added: Sybils in one network."""
        self._addresses[index] = address

    def nowhere(self, index: int) -> Address:
        """An address of the same sort at which no node is."""
        address = self.address(index)
        return Address(address.ip, PORT + 1 + index % 1000)

    def interfaces(self, index: int) -> tuple[Interface, ...] | None:
        return None if index in self._addresses else self.places.interfaces(index)

    def site(self, index: int) -> int:
        return 0 if index in self._addresses else self.places.site(index)

    def keys(self, index: int) -> KeyPair:
        keys = self._keys.get(index)
        if keys is None:
            rng = Rng(seed_of(self.seed, "keys", index))
            while True:
                keys = KeyPair.from_seed(rng.bytes(32))
                if solves(node_id_of(keys.key), self.realm.puzzle_bits) is (index not in self.clients):
                    break
            self._keys[index] = keys
        return keys

    def signer(self, index: int) -> Signer:
        """What it signs with in this swarm."""
        keys = self.keys(index)
        return keys if self.codec is Codec.REAL else FakeKeyPair(keys.key)

    def set_keys(self, index: int, keys: KeyPair) -> None:
        """For who chooses its id: a Sybil with a ground key."""
        self._keys[index] = keys
        self._numbers.pop(index, None)

    def id(self, index: int) -> bytes:
        return node_id_of(self.keys(index).key)

    def number(self, index: int) -> int:
        """The id as a number."""
        found = self._numbers.get(index)
        if found is None:
            found = self._numbers[index] = int.from_bytes(self.id(index), "big")
        return found

    def id_text(self, index: int) -> str:
        return format_id(self.id(index))

    def peer(self, index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
        return Peer(
            network=self.realm, keys=self.signer(index), storage=storage, rng=rng,
            entropy=entropy, verifier=self.verifier, book=self.book, codec=self._wire, apps=self.apps(index),
        )  # fmt: skip
