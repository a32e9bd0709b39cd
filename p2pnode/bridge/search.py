"""Which value a foreign key has: the newest that any bridge holds.

    providers of the meeting key, the signed record of each, the newest seq wins

Nothing here raises for what other bridges send; their junk is counted and passed over.
"""

from __future__ import annotations

import attrs
import trio

from overlay.errors import BadMessage
from p2pnode.bridge import values
from p2pnode.bridge.commands import Commands, Unanswered
from p2pnode.bridge.ledger import Kept
from p2pnode.bridge.limits import MAX_AUTHORS


@attrs.frozen(slots=True)
class Claim:
    seq: int
    author: str
    #: msgpack of the value, or where it is.
    held: bytes | values.Manifest


@attrs.frozen(slots=True)
class Newest:
    #: Id text of the node whose bridge signed it.
    author: str
    #: msgpack of the value.
    packed: bytes


async def newest(commands: Commands, key: bytes, kept: Kept | None) -> Newest | None:
    """Of all bridges that are said to hold the foreign `key`, and this one, which has `kept` under it."""
    claims: list[Claim] = []
    if kept is not None:
        claims.append(Claim(kept.seq, commands.node, kept.packed))
    try:
        answer = await commands.run("providers", key=values.meeting_key(key))
    except Unanswered:
        answer = {"providers": []}
    named = dict.fromkeys(provider["id"] for provider in answer["providers"])
    if kept is not None:
        named.pop(commands.node, None)
        if not kept.seq:  # what the network has of ours may be another value: what others read is what counts
            named = {commands.node: None, **named}
    async with trio.open_nursery() as nursery:
        for author in list(named)[:MAX_AUTHORS]:
            nursery.start_soon(_claim, commands, author, key, claims)
    for claim in sorted(claims, key=lambda claim: (claim.seq, claim.author), reverse=True):
        try:
            packed = await _assemble(commands, claim.held)
            values.unpack_value(packed)
        except BadMessage:
            commands.count("bad_record")
        else:
            return Newest(claim.author, packed)
    return None


async def _claim(commands: Commands, author: str, key: bytes, claims: list[Claim]) -> None:
    try:
        answer = await commands.run("get", author=author, salt=values.salt_of(key))
        claims.append(Claim(int(answer["seq"]), author, values.decode_record(answer["value"])))
    except BadMessage:
        commands.count("bad_record")
    except Unanswered:
        pass


async def _assemble(commands: Commands, held: bytes | values.Manifest) -> bytes:
    if isinstance(held, bytes):
        return held
    pieces = [b""] * len(held.keys)
    async with trio.open_nursery() as nursery:
        for index, name in enumerate(held.keys):
            nursery.start_soon(_get_chunk, commands, name, pieces, index)
    return values.join(held, pieces)


async def _get_chunk(commands: Commands, name: str, pieces: list[bytes], index: int) -> None:
    try:
        pieces[index] = (await commands.run("get", key=name))["value"]
    except Unanswered:
        pass  # the value is then too short
