"""The package's protocol behind a guard: what reaches its code is well formed, bounded and proven.

Subclasses, against the house rule, because the package is extended in no other way. Nothing of its
storage, hand-over, refresh loop or state file is used:

    welcome_if_new   walked the whole store for each new id and pushed it at any claimed address
                     (50 bytes in, 538,043 out)                    -> contacts enter by answering a ping
    rpc_find_value   read the store without waiting                -> a coroutine that asks the overlay
    rpc_store        any key, any type, no bound                   -> 20 bytes, five types, 8 kB, quotas
    _refresh_table   republished the store, died at a key of b""   -> the node republishes its records
    _accept_response took an answer from anybody                   -> from the address asked

**Proof of address.** A ping is answered at once (43 bytes for 50). Any other request of an address
that has not answered a ping of ours is held while we ping it (50 bytes for at least 63), so nobody
gets more bytes sent to a forged address than he spent himself. An honest peer loses one round trip,
once. Two bridges cannot wait for each other: a ping never waits.
"""

from __future__ import annotations

import asyncio
from typing import Any

import trio
import trio_asyncio  # type: ignore[import-untyped]
from kademlia.node import Node
from kademlia.protocol import KademliaProtocol

from overlay.errors import BadMessage
from overlay.limits import MIN_FOREIGN_PORT
from p2pnode.bridge import limits, values
from p2pnode.bridge.contacts import Contacts, Endpoint, is_loopback
from p2pnode.bridge.gateway import Gateway
from p2pnode.bridge.meter import Bucket, Buckets

_REQUEST, _RESPONSE = 0, 1
#: Arguments of each remote procedure of kademlia 2.2, after the name; None is a value of any allowed type.
_SIGNATURES: dict[str, tuple[int | None, ...]] = {
    "ping": (limits.FOREIGN_KEY,),
    "find_node": (limits.FOREIGN_KEY, limits.FOREIGN_KEY),
    "find_value": (limits.FOREIGN_KEY, limits.FOREIGN_KEY),
    "store": (limits.FOREIGN_KEY, limits.FOREIGN_KEY, None),
}


class BridgeProtocol(KademliaProtocol):  # type: ignore[misc]
    """One UDP socket of the foreign network. `counters` is shared with the gateway.

    Beware: the package turns any attribute that does not exist into a remote call.
    """

    def __init__(self, node_id: bytes, gateway: Gateway, counters: dict[str, int]) -> None:
        super().__init__(Node(node_id), storage=None, ksize=limits.NEIGHBOURS)
        self._wait_timeout = limits.PROOF_S
        self._gateway = gateway
        self._counters = counters
        self._contacts = Contacts(trio.current_time)
        self.router = _Router(self._contacts)
        self._from_one = Buckets(
            limits.DATAGRAMS_PER_ADDRESS_S,
            limits.DATAGRAM_BURST_PER_ADDRESS,
            limits.MAX_ADDRESSES_METERED,
            trio.current_time,
        )
        self._from_all = Bucket(limits.DATAGRAMS_PER_S, limits.DATAGRAM_BURST, trio.current_time)
        self._proving: dict[Endpoint, asyncio.Future[tuple[bool, Any]]] = {}
        self._asked: dict[bytes, Endpoint] = {}
        self._held: dict[Endpoint, int] = {}
        self._held_in_all = 0
        self._serving: dict[asyncio.Task[None], None] = {}

    @property
    def _peers(self) -> int:
        return len(self._contacts)

    # --- from the socket ---------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        where: Endpoint = (addr[0], addr[1])
        # Ports cost a host nothing; but on loopback they are all that tells one program from another.
        source = where if is_loopback(where[0]) else where[0]
        if not self._from_one.take(source) or not self._from_all.take():
            return self._count("dropped_rate")
        if not limits.MIN_FOREIGN_DATAGRAM <= len(data) <= limits.MAX_FOREIGN_DATAGRAM or data[0] > _RESPONSE:
            return self._count("malformed")
        message_id = data[1:21]
        if data[0] == _RESPONSE and self._asked.get(message_id) != where:
            return self._count("unasked")
        try:
            message = values.decode_msgpack(data[21:])
            if data[0] == _REQUEST:
                name = _checked(message)
        except BadMessage:
            return self._count("malformed")
        if data[0] == _RESPONSE:
            return self._accept_response(message_id, message, where)  # type: ignore[no-any-return]
        if where[1] < MIN_FOREIGN_PORT:
            return self._count("refused_port")
        if len(self._serving) >= limits.MAX_SERVING:
            return self._count("dropped_busy")
        self._count(f"asked_{name}")
        task = asyncio.get_running_loop().create_task(self._serve(message_id, message, where))
        self._serving[task] = None
        task.add_done_callback(self._served)
        return None

    def error_received(self, exc: OSError) -> None:
        """An ICMP error for something we sent: the peer is gone, its ping will say so."""
        self._count("unreachable")

    async def _serve(self, message_id: bytes, message: list[Any], where: Endpoint) -> None:
        name, args = message
        if name != "ping" and not self._contacts.is_proven(where, args[0]) and not await self._hold(where, args[0]):
            return
        await self._accept_request(message_id, message, where)

    def _served(self, task: asyncio.Task[None]) -> None:
        del self._serving[task]
        if not task.cancelled() and task.exception() is not None:
            self._count("failed")

    async def _hold(self, where: Endpoint, claimed: bytes) -> bool:
        """Wait until `where` has proven that it is `claimed`; False if it does not, or too many wait."""
        held = self._held.get(where, 0)
        if held >= limits.MAX_HELD_PER_ADDRESS or self._held_in_all >= limits.MAX_HELD:
            self._count("dropped_unproven")
            return False
        self._held[where] = held + 1
        self._held_in_all += 1
        try:
            await self._prove(where)
        finally:
            self._held_in_all -= 1
            self._held[where] -= 1
            if not self._held[where]:
                del self._held[where]
        if self._contacts.is_proven(where, claimed):
            return True
        self._count("unproven")
        return False

    async def _prove(self, where: Endpoint) -> None:
        """Ping `where`; its answer makes it a contact, its silence ends one."""
        future = self._proving.get(where)
        if future is None:
            if len(self._proving) >= limits.MAX_PROVING:
                return
            future = self._proving[where] = self.ping(where, self.source_node.id)
            message_id = next(reversed(self._outstanding))
            self._asked[message_id] = where
            future.add_done_callback(lambda done: self._pinged(message_id, where, done))
        await asyncio.shield(future)

    def _pinged(self, message_id: bytes, where: Endpoint, done: asyncio.Future[tuple[bool, Any]]) -> None:
        del self._asked[message_id], self._proving[where]
        answered, node_id = (False, None) if done.cancelled() else done.result()
        if not answered:
            self._contacts.fail(where)
        elif type(node_id) is not bytes or len(node_id) != limits.FOREIGN_KEY:
            self._count("malformed")
        elif not self._contacts.prove(where, node_id):
            self._count("refused_contact")

    async def _upkeep(self) -> None:
        """Ping contacts that were silent for a minute: a dead one costs every foreign peer 5 s a lookup."""
        silent = self._contacts.silent(limits.CONTACT_PING_S, limits.PINGS_PER_UPKEEP)
        await asyncio.gather(*(self._prove(where) for where in silent))

    # --- what the package calls --------------------------------------------------------------

    def welcome_if_new(self, node: Node) -> None:
        """Nothing: a claim in a request makes no contact, and nothing is pushed at a newcomer."""

    async def rpc_store(self, sender: Endpoint, nodeid: bytes, key: bytes, value: values.Value) -> bool:
        return await trio_asyncio.trio_as_aio(self._gateway.store)(key, value)  # type: ignore[no-any-return]

    async def rpc_find_value(self, sender: Endpoint, nodeid: bytes, key: bytes) -> Any:
        value = await trio_asyncio.trio_as_aio(self._gateway.find)(key)
        return self.rpc_find_node(sender, nodeid, key) if value is None else {"value": value}

    # --- counting ----------------------------------------------------------------------------

    def _count(self, what: str) -> None:
        self._counters[what] = self._counters.get(what, 0) + 1


class _Router:
    """What the package's `rpc_find_node` asks of a routing table."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    def find_neighbors(self, node: Node, *, exclude: Node) -> list[tuple[bytes, str, int]]:
        return self._contacts.closest(node.id, (exclude.ip, exclude.port))


def _checked(message: Any) -> str:
    """Name of the remote procedure; raises BadMessage unless its arguments are what the package sends."""
    if type(message) is not list or len(message) != 2:
        raise BadMessage("not a call")
    name, args = message
    signature = _SIGNATURES.get(name) if type(name) is str else None
    if signature is None or type(args) is not list or len(args) != len(signature):
        raise BadMessage("not a procedure of kademlia")
    for arg, size in zip(args, signature, strict=True):
        well = values.is_value(arg) if size is None else type(arg) is bytes and len(arg) == size
        if not well:
            raise BadMessage(f"a bad argument of {name}")
    return name  # type: ignore[no-any-return]
