"""Shares whose existence the chain is to witness: the service `anchor` of the application that keeps it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from overlay.app import AppContext
from overlay.errors import LocalError

_DIGEST_BYTES = 32
#: (32 bytes, at most 32 bytes of text) -> id of the transaction.
Anchor = Callable[[bytes, bytes], Awaitable[bytes]]


@attrs.frozen(slots=True)
class Anchoring:
    """Asked for before anything is hashed, done when it is."""

    service: Anchor
    #: None: the id of the share.
    digest: bytes | None

    @classmethod
    def of(cls, ctx: AppContext, wanted: object) -> Anchoring:
        """`wanted`: True, or 64 hex digits. LocalError if it is neither, or nobody anchors here."""
        digest = None
        if wanted is not True:
            try:
                digest = bytes.fromhex(str(wanted))
            except ValueError:
                digest = b""
            if len(digest) != _DIGEST_BYTES:
                raise LocalError(f"'anchor' is true, or 64 hex digits, not {str(wanted)[:80]!r}")
        return cls(ctx.services.get("anchor"), digest)

    async def write(self, share_id: bytes) -> dict[str, str]:
        """{"digest", "txid"}. LocalError if it cannot be; the share is there all the same."""
        digest = share_id if self.digest is None else self.digest
        try:
            txid = await self.service(digest, f"share {share_id.hex()[:8]}".encode())
        except LocalError as error:
            raise LocalError(f"it is shared now, but not anchored: {error}") from None
        return {"digest": digest.hex(), "txid": txid.hex()}
