"""The port through which the endpoint writes and reads envelopes.

A simulated swarm of thousands puts one of its own here, which knows what it wrote a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Network
from overlay.wire.envelope import Envelope, check_envelope, encode_envelope, peek_envelope

#: (signer, network, kind, request id, stamp, to, token, body) -> a signed datagram.
Encode = Callable[[Signer, Network, int, bytes, int, bytes | None, bytes | None, list[Any]], bytes]


@attrs.frozen(slots=True)
class Codec:
    """What each must do stands at the three functions of overlay.wire.envelope."""

    encode: Encode
    peek: Callable[[bytes], Envelope]
    check: Callable[[bytes, Network, Verifier], None]


WIRE: Final = Codec(encode_envelope, peek_envelope, check_envelope)
