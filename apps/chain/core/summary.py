"""Where the chain is, as every operation on the books says beside its value."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class Summary:
    """Where the chain is."""

    height: int
    tip: bytes
    work: int
    #: Time of the tip, seconds.
    time: int
    difficulty: int
    #: Of the best header, whether its body is here or not.
    best_height: int
    best: bytes
    best_work: int
    #: Transactions that wait, and their bytes.
    waiting: int
    waiting_bytes: int
    #: Blocks that are held until their time.
    held: int
    #: The last block of the chain after which the state was digested, and the digest; b"": none yet.
    mark_height: int
    mark: bytes
    digest: bytes
    light: bool
    #: The first height whose blocks are kept; 0: all are.
    kept_from: int
    #: There is a better branch, all of it here, which cannot be gone to: it parts below `kept_from`.
    stuck: bool
