"""A key that signs for one purpose only: what an application is given where it must sign what no record can carry.

Whatever this node signs elsewhere is a COSE Sig_structure, a CBOR array (first byte 0x84: RFC 9052, section 4.4).
Data that begins with a domain is none, and none of one domain begins with another: the zero byte ends it.
"""

from __future__ import annotations

import attrs

from overlay.errors import LocalError
from overlay.identity.keys import Signer

_FIRST = b"p2pnode/"
MAX_DOMAIN_BYTES = 64


@attrs.frozen(slots=True, repr=False)
class DomainSigner:
    """A `Signer` that refuses all data of another domain. LocalError for a domain that is none."""

    _signer: Signer
    domain: bytes

    def __attrs_post_init__(self) -> None:
        text = self.domain[len(_FIRST) : -1]
        if (
            len(self.domain) > MAX_DOMAIN_BYTES
            or not self.domain.startswith(_FIRST)
            or not self.domain.endswith(b"\0")
            or not text.isascii()
            or not text.decode().isprintable()
            or not text
        ):
            raise LocalError(f"a domain is p2pnode/, printable text and a zero byte, not {self.domain!r}")

    @property
    def key(self) -> bytes:
        return self._signer.key

    def sign(self, data: bytes) -> bytes:
        """64 bytes. LocalError if it is not of this domain."""
        if not data.startswith(self.domain):
            raise LocalError(f"this key signs for {self.domain!r} alone")
        return self._signer.sign(data)

    def __repr__(self) -> str:
        return f"<DomainSigner {self.domain!r} {self.key.hex()[:8]}>"
