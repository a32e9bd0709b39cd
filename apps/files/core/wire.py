"""Messages of "/files/1", one to a message of the stream: a byte of type, then a dCBOR array, or raw bytes in PIECE.

One stream carries all shares of two peers. A share is opened under a channel, which is even if the dialler of the
stream chose it and odd if the other side did; it means the same share both ways. Items beyond those known here are
ignored, and so are types: both are for later versions.

A unit is a number within the share: its files in the order of the info dictionary, each cut into 256 KiB of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from overlay.runtime.address import Address

#: Application and version of `ctx.connect` and `ctx.accept`.
PROTOCOL = "1"
ID_BYTES = 32
#: All units (True), none (False), those whose bits are set, first unit in the highest bit; None: it cannot be said
#: yet, because the info dictionary is not there.
Held = bool | bytes | None
#: (first unit, how many).
Run = tuple[int, int]


@attrs.frozen(slots=True)
class Open:
    """I want to exchange this share with you."""

    channel: int
    share: bytes
    #: Bytes of the info dictionary; 0: I have none yet.
    info_bytes: int
    held: Held


@attrs.frozen(slots=True)
class Opened:
    channel: int
    info_bytes: int
    held: Held


#: Why a share is not opened: nobody shares it there, or not any more.
NOT_HERE = "not here"


@attrs.frozen(slots=True)
class Refused:
    """In place of Opened."""

    channel: int
    reason: str


@attrs.frozen(slots=True)
class CloseShare:
    """Nothing more of this channel; what was asked for on it will not come."""

    channel: int


@attrs.frozen(slots=True)
class GetInfo:
    """Part `index` of the info dictionary, counted in INFO_PART_BYTES."""

    channel: int
    index: int


@attrs.frozen(slots=True)
class InfoPart:
    channel: int
    index: int
    #: Empty: I cannot give it.
    data: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class GetHashes:
    """As `hash request` of BEP 52, the bounds of `merkle.answer_hashes`."""

    channel: int
    root: bytes
    base: int
    index: int
    count: int
    proofs: int


@attrs.frozen(slots=True)
class Hashes:
    channel: int
    root: bytes
    base: int
    index: int
    count: int
    #: Empty: I cannot give them.
    hashes: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class Hold:
    """What I have, now that my info dictionary is there or yours is; bits begin at unit `first`, a multiple of 8."""

    channel: int
    info_bytes: int
    held: bool | bytes = attrs.field(repr=False)
    first: int


@attrs.frozen(slots=True)
class Have:
    """These units are mine now, too. Only to a peer that told what it holds itself."""

    channel: int
    units: tuple[int, ...]


@attrs.frozen(slots=True)
class Interest:
    """Whether there is something that I would ask you for."""

    channel: int
    interested: bool


@attrs.frozen(slots=True)
class Choke:
    """Whether I answer requests: at first I do not. What was asked before a choke and did not come, will not."""

    channel: int
    choked: bool


@attrs.frozen(slots=True)
class Request:
    channel: int
    runs: tuple[Run, ...]


@attrs.frozen(slots=True)
class Reject:
    """Of a request: these will not come."""

    channel: int
    runs: tuple[Run, ...]


@attrs.frozen(slots=True)
class Cancel:
    """I need these no more; they may come nevertheless."""

    channel: int
    runs: tuple[Run, ...]


@attrs.frozen(slots=True)
class Peers:
    """Others who exchange this share, and where I saw them."""

    channel: int
    peers: tuple[tuple[bytes, Address], ...]


@attrs.frozen(slots=True)
class Piece:
    """A whole unit. `offset` is 0: it is kept for units that come in slices."""

    channel: int
    unit: int
    offset: int
    data: bytes | memoryview = attrs.field(repr=False)
    #: What its sender signs of it (apps.files.core.header); b"": nothing.
    header: bytes = attrs.field(default=b"", kw_only=True, repr=False)


Message = (
    Open | Opened | Refused | CloseShare | GetInfo | InfoPart | GetHashes | Hashes | Hold | Have | Interest | Choke
    | Request | Reject | Cancel | Peers | Piece
)  # fmt: skip


def runs_of(units: Iterable[int]) -> tuple[Run, ...]:
    """Units in ascending order as ranges: a folder of small files is asked for in a few messages."""
    runs: list[list[int]] = []
    for unit in sorted(units):
        if runs and unit == runs[-1][0] + runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([unit, 1])
    return tuple((first, count) for first, count in runs)


def units_in(runs: Sequence[Run]) -> Iterable[int]:
    return (unit for first, count in runs for unit in range(first, first + count))
