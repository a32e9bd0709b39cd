"""What only a running node knows: transactions that wait, peers, and what happens.

Asked of the application "chain" by the control API, all of it read-only; other keys are passed over:

    POST /v1/apps/chain/mempool {"limit": n}   [{"raw": hex digits of the transaction, "seen_ms": n or missing}, ...]
    POST /v1/apps/chain/peers {}               [{"height": n or null, "tip": id or null}, ...]
    POST /v1/apps/chain/status {}              {"synced": bool, "headers": height of the best header,
                                               "trouble": why nothing can be written, or null}
    POST /v1/apps/chain/proof {"of": id}       {"proof": hex digits}: of a transaction or digest; asked of others
    POST /v1/apps/chain/account {"account": a} {"balance", "nonce", "said_by"}, of a node that keeps headers alone
    GET  /v1/events?app=chain                  events "block", "synced" and "reorg", whose fields are not looked at, and
                                               "tx" {"tx": id}

What it answers is not believed further than its own: transactions are decoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from p2pnode.ui.fail import Fail
from p2pnode.ui.home import find_home

if TYPE_CHECKING:
    from apps.chain.cli.explorer.session import Session
    from apps.chain.core.explorer.chain import Chain
    from apps.chain.core.tx import Tx
    from p2pnode import api

_APP = "/v1/apps/chain/"
#: Answered from memory; a person waits.
_PATIENCE_S = 10.0
#: A light node asks three peers one after another (core.light), each for so long at most (core.limits.ANSWER_S).
_ASKING_S = 70.0


@attrs.frozen(slots=True)
class Waiting:
    tx: Tx
    #: When it came, seconds since 1970; None if the node does not say.
    seen: float | None


@attrs.frozen(slots=True)
class Peers:
    #: (height, id) of the tips that peers told.
    tips: Sequence[tuple[int, str]]
    synced: bool
    #: Height of the best header.
    headers: int
    #: Why the node can write nothing now; "": it can.
    trouble: str


@attrs.frozen(slots=True)
class Node:
    """A node that runs, and an application "chain" in it."""

    _client: api.Client

    def mempool(self, chain_id: bytes) -> list[Waiting]:
        """All of them, in the order of the node."""
        from apps.chain.core.limits import MAX_POOL_TXS
        from apps.chain.core.tx import decode_tx

        found = []
        for one in self._ask("mempool", limit=MAX_POOL_TXS):
            if "raw" not in one:
                raise Fail("the node does not tell what its waiting transactions say: it is of another version")
            seen = one.get("seen_ms")
            tx = decode_tx(bytes.fromhex(one["raw"]), chain_id)
            found.append(Waiting(tx, None if seen is None else seen / 1000))
        return found

    def peers(self) -> Peers:
        status = self._ask("status")
        tips = [(peer["height"], peer["tip"]) for peer in self._ask("peers") if peer["tip"] is not None]
        return Peers(tips, bool(status["synced"]), int(status["headers"]), status.get("trouble") or "")

    def events(self, opened: Callable[[], object]) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, fields) of each event of the application, until the node ends. `opened`: called once it listens."""
        for event in self._client.lines("/v1/events", query={"app": "chain"}, opened=opened):
            if event.get("event") == "app_event":
                yield event["name"], event["fields"]

    def proof(self, of: bytes) -> bytes:
        """That a transaction or a digest is in the chain, as another peer proved it to the node. Fail (not_found)."""
        return bytes.fromhex(self._ask("proof", patience_s=_ASKING_S, of=of.hex())["proof"])

    def account(self, address: str) -> dict[str, Any]:
        """What a peer says of an account: {"balance", "nonce", "said_by"}."""
        found: dict[str, Any] = self._ask("account", patience_s=_ASKING_S, account=address)
        return found

    def _ask(self, command: str, *, patience_s: float = _PATIENCE_S, **args: int | str) -> Any:
        return self._client.call("POST", _APP + command, args, timeout_s=patience_s)["answer"]


def waiting_anchors(session: Session, chain: Chain, digest: bytes) -> list[bytes]:
    """Ids of transactions that wait in the running node of the home, if one runs, and anchor these 32 bytes."""
    from apps.chain.core.operations import Anchor

    node = session.node()
    waiting = [] if node is None else node.mempool(chain.params.chain_id)
    return [
        one.tx.txid for one in waiting if any(type(op) is Anchor and op.digest == digest for op in one.tx.operations)
    ]


def connect(home: str | None) -> Node | None:
    """None if no node runs on this home, or none with a chain."""
    found = find_home(home)
    if not found.socket.exists():
        return None
    from p2pnode import api

    client = api.connect(found.dir)
    if not client.is_alive():
        return None
    try:
        apps = client.call("GET", "/v1/apps", timeout_s=_PATIENCE_S)["apps"]
    except Fail as failure:
        if failure.code == "no_node":
            return None
        raise
    return Node(client) if any(app["name"] == "chain" for app in apps) else None
