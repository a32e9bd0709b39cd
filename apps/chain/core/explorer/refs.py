"""What people type for a block, a transaction or an account: a height, an id or its beginning, an address, a name.

A beginning has at least four characters. `7c1e09aa…41d2`, as tables show ids, is understood too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from apps.chain.core import bech32m
from apps.chain.core.explorer.chain import Ambiguous, Chain, Mistyped, Torn, Unknown
from apps.chain.core.limits import MAX_NAME_BYTES, MIN_NAME_BYTES
from apps.chain.core.naming import NAME, begins_like_address, whole_address
from apps.chain.core.rows import HeaderRow, TxRow
from overlay.errors import LocalError

MIN_PREFIX = 4
#: Of an ambiguous beginning so many are named.
SHOWN = 5
_HEX: Final = re.compile(r"([0-9a-f]{0,64})(?:(?:…|\.\.\.?)([0-9a-f]{1,60}))?")
HEIGHT: Final = re.compile(r"-?[0-9]{1,15}")
_NAME: Final = re.compile(rf"[a-z0-9-]{{{MIN_NAME_BYTES},{MAX_NAME_BYTES}}}")
_HASH_DIGITS = 64


@attrs.frozen(slots=True)
class Hex:
    """The beginning of 32 bytes, and maybe their end."""

    first: str
    last: str

    @property
    def whole(self) -> bytes | None:
        return bytes.fromhex(self.first) if len(self.first) == _HASH_DIGITS else None

    @property
    def prefix(self) -> bytes:
        """The whole bytes of the beginning."""
        return bytes.fromhex(self.first[: len(self.first) // 2 * 2])

    def fits(self, found: bytes) -> bool:
        text = found.hex()
        return text.startswith(self.first) and text.endswith(self.last)


def as_hex(text: str) -> Hex | None:
    """None if these are no hex digits, or too few."""
    found = _HEX.fullmatch(text.strip().lower())
    if found is None or len(found[1]) < MIN_PREFIX:
        return None
    return Hex(found[1], found[2] or "")


def matching(wanted: Hex, ask: Callable[[bytes, int], Sequence[bytes]]) -> list[bytes]:
    """At most SHOWN + 1 of what `ask(prefix, limit)` gives and is wanted.

    With an odd digit, or an end, the first ones need not be it, so more are asked for: sixteen times as many have
    the same whole bytes; an end that nobody of those has is not looked for further."""
    return [found for found in ask(wanted.prefix, 64 * (SHOWN + 1)) if wanted.fits(found)][: SHOWN + 1]


def the_one(what: str, text: str, found: Sequence[bytes], show: Callable[[bytes], str] = bytes.hex) -> bytes:
    """Unknown if there is none, Ambiguous if there are several."""
    if not found:
        raise Unknown(f"no {what} of this chain is {text!r}", look="chain-explorer search …")
    if len(found) > 1:
        several = "at least " * (len(found) > SHOWN) + str(min(len(found), SHOWN))
        raise Ambiguous(f"{several} {what}s begin with {text!r}", [show(one) for one in found[:SHOWN]])
    return found[0]


# --- blocks --------------------------------------------------------------------------------

_BLOCK_FORMS = "a height, -1 for the tip, four or more digits of an id, or @TIME"


def find_block(chain: Chain, text: str) -> HeaderRow:
    """By height (-1: the tip, -2: the one before) or by id, of whatever branch."""
    text = text.strip().replace(",", "")
    if HEIGHT.fullmatch(text):
        height = int(text) + (chain.height + 1 if text.startswith("-") else 0)
        if (active := chain.view.active(height)) is not None:
            return chain.header(active.id)
        digits = None if text.startswith("-") else as_hex(text)
        if height < 0:
            raise Unknown(f"no block is {text}: the first one is -{chain.height + 1}", tip=f"{chain.height:,}")
        if digits is None or not chain.view.ids(digits.prefix, limit=1):
            raise Unknown(f"no block has height {height:,}", tip=f"{chain.height:,}")
    wanted = as_hex(text)
    if wanted is None:
        raise Mistyped(f"not a block: {text!r}", _BLOCK_FORMS)
    found = matching(wanted, lambda prefix, limit: chain.view.ids(prefix, limit=limit))
    return chain.header(the_one("block", text, found))


def block_at(chain: Chain, time: int) -> HeaderRow:
    """The last block whose time is not after `time`, seconds since 1970. Times strictly increase (H8)."""
    low, high = 0, chain.height
    if time < chain.active(0).time:
        first = chain.active(0)
        raise Unknown("there was no block at that time yet", first_block=f"chain-explorer block @{first.time}")
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if chain.active(middle).time <= time else (low, middle - 1)
    return chain.active_header(low)


# --- transactions --------------------------------------------------------------------------


def find_tx(chain: Chain, text: str) -> TxRow:
    """By its id, of the chain that counts."""
    wanted = as_hex(text)
    if wanted is None:
        raise Mistyped(f"not a transaction: {text!r}", "four or more digits of its id")
    txid = the_one("transaction", text, txids_like(chain, wanted))
    row = chain.view.tx(txid)
    if row is None:
        raise Torn(f"transaction {txid.hex()[:16]} is in no block")
    return row


def txids_like(chain: Chain, wanted: Hex) -> list[bytes]:
    return matching(wanted, lambda prefix, limit: chain.view.txids(prefix, limit=limit))


def digests_like(chain: Chain, wanted: Hex) -> list[bytes]:
    return matching(wanted, lambda prefix, limit: chain.view.digests(prefix, limit=limit))


# --- accounts ------------------------------------------------------------------------------


def find_account(chain: Chain, text: str) -> bytes:
    """The key of an account: by address, by name, by 64 digits of a key, or by four or more characters of one.

    A whole address or key need not have been seen in this chain: it is an account without anything."""
    text = text.strip()
    if begins_like_address(text):
        return _by_address(chain, text)
    named = text.startswith(NAME)
    text = text.removeprefix(NAME)
    if (found := name_owner(chain, text)) is not None:
        return found
    if not named and (wanted := as_hex(text)) is not None:
        return wanted.whole or the_one("account", text, keys_like(chain, wanted), chain.address)
    if _NAME.fullmatch(text):
        raise Unknown(f"nobody has the name {text!r}", look="chain-explorer names")
    forms = "an address, a name, or four or more characters of an address or key"
    raise Mistyped(f"not an account: {text!r}", forms)


def whole_account(chain: Chain, text: str) -> bytes:
    """By a whole address or key: all that can be understood without accounts. Mistyped."""
    text = text.strip()
    wanted = as_hex(text)
    if wanted is not None and wanted.whole is not None:
        return wanted.whole
    if begins_like_address(text) and "…" not in text:
        return whole_address(text, chain.params.hrp)
    raise Mistyped(f"this home keeps headers alone, and knows no names: {text!r}", "a whole address or key")


def name_owner(chain: Chain, text: str) -> bytes | None:
    """Who has this name now."""
    if not _NAME.fullmatch(text):
        return None
    row = chain.view.names([text.encode("ascii")]).get(text.encode("ascii"))
    return row.owner if row is not None and row.expires > chain.height else None


def keys_like(chain: Chain, wanted: Hex) -> list[bytes]:
    """Accounts, and miners who are not credited yet."""
    first = bytes.fromhex(wanted.first.ljust(_HASH_DIGITS, "0"))
    last = bytes.fromhex(wanted.first.ljust(_HASH_DIGITS, "f"))
    return [key for key in _between(chain, first, last) if wanted.fits(key)][: SHOWN + 1]


def _by_address(chain: Chain, text: str) -> bytes:
    head, _, tail = text.replace("...", "…").partition("…")
    begins = f"{chain.params.hrp}1"
    if not head.lower().startswith(begins):
        raise Mistyped(f"an address of another sort of network: {text!r}", f"one that begins with {begins}")
    if not tail and len(head) >= len(chain.address(bytes(32))):
        return whole_address(head, chain.params.hrp)
    head, tail = head.lower(), tail.lower()
    return the_one("account", text, addresses_like(chain, head, tail), chain.address)


def addresses_like(chain: Chain, head: str, tail: str = "") -> list[bytes]:
    """Keys of addresses that begin so; LocalError if none can."""
    letters = head.removeprefix(f"{chain.params.hrp}1")
    values = [bech32m.LETTERS.find(letter) for letter in letters]
    if -1 in values:
        raise LocalError(f"{letters[values.index(-1)]!r} is not a letter of addresses ({bech32m.LETTERS})")
    # The first letter is the version.
    if len(values) <= MIN_PREFIX:
        raise LocalError(f"of an address at least {MIN_PREFIX} letters after {chain.params.hrp}1q are needed")
    first, last = (_padded(values[1:53], fill) for fill in (0, 31))
    found = (key for key in _between(chain, first, last) if chain.address(key).startswith(head))
    return [key for key in found if chain.address(key).endswith(tail)][: SHOWN + 1]


def _padded(values: Sequence[int], fill: int) -> bytes:
    """52 letters of five bits, without the four bits of the last one that must be zero."""
    number = 0
    for value in [*values, *[fill] * (52 - len(values))]:
        number = number << 5 | value
    return (number >> 4).to_bytes(32, "big")


def _between(chain: Chain, first: bytes, last: bytes) -> list[bytes]:
    known = set(chain.view.keys(first, last, limit=64 * (SHOWN + 1)))
    recent = chain.view.actives(chain.height - chain.params.maturity, chain.height)
    known |= {block.miner for block in recent if block.height and first <= block.miner <= last}
    return sorted(known)


# --- names ---------------------------------------------------------------------------------


def as_name(text: str) -> bytes:
    """LocalError if no name can be so."""
    if not _NAME.fullmatch(text):
        raise Mistyped(f"not a name: {text!r}", f"{MIN_NAME_BYTES} to {MAX_NAME_BYTES} of a-z, 0-9 and -")
    return text.encode("ascii")
