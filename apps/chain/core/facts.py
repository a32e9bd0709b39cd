"""What a chain is, as bytes beside its blocks: who reads a folder alone cannot know it otherwise.

A store keeps them as a note (`NOTE`); whoever makes the store writes it once, from its parameters.

    note = [1, facts, time of the first block, human-readable part of addresses]
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from apps.chain.core.params import Params
from overlay.errors import BadMessage, LocalError
from overlay.wire import cbor

#: The name of the note.
NOTE: Final = "params"
#: The name of another one: b"1" if its node keeps headers alone, so that what else is in the file says nothing.
LIGHT_NOTE: Final = "light"
_VERSION = 1
#: Four, and the facts; more are not decoded.
_MAX_ITEMS = 32


def encode_params(params: Params) -> bytes:
    return cbor.encode([_VERSION, params.facts(), params.genesis_time, params.hrp])


def decode_params(raw: bytes) -> Params:
    """The inverse, but for `assume_valid`. BadMessage."""
    items: Any = cbor.decode(raw, max_items=_MAX_ITEMS)
    match items:
        case [int(version), list(facts), int(time), str(hrp)] if version == _VERSION:
            try:
                return attrs.evolve(Params.of_facts(facts, genesis_time=time), hrp=hrp)
            except LocalError as error:
                raise BadMessage(f"no chain has these facts: {error}") from None
    raise BadMessage("not the parameters of a chain")
