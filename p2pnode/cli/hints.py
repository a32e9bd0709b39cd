"""What is to be typed elsewhere to join this node: one wording for `run` and `peers`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def how_to_join(ticket: str, listen: Sequence[str], *, key_file: str = "FILE") -> str:
    """`listen` as in `status`; `key_file` is shown where the network is private."""
    here_only = all("127.0.0.1" in text or "[::1]" in text for text in listen)
    where = "from another home:" if here_only else "on another machine:"
    return f"{where}   p2pnode run {_settings(ticket, key_file)}--join {ticket}"


def _settings(text: str, key_file: str) -> str:
    """What must be equal for another node to be in the same network."""
    from overlay.errors import LocalError
    from overlay.wire.ticket import parse_ticket
    from p2pnode.config import NetworkConfig

    try:
        ticket = parse_ticket(text)
    except LocalError:  # of a newer version
        return ""
    default = NetworkConfig()
    words = [] if ticket.network == default.name else ["--network", shlex.quote(ticket.network)]
    words += [] if ticket.puzzle_bits == default.puzzle_bits else ["--puzzle-bits", str(ticket.puzzle_bits)]
    words += ["--network-key", shlex.quote(key_file)] if ticket.private else []
    return "".join(word + " " for word in words)
