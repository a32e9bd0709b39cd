"""What people should read in the log of a node: that its chain cannot be written, or was rewritten far back."""

from __future__ import annotations

import logging
from typing import Any

import attrs

from apps.chain.core.app import Chain
from overlay.events import AppEvent
from p2pnode.api import RunningNode

log = logging.getLogger(__name__)


async def tell(node: RunningNode) -> None:
    """As long as the node runs."""
    teller = Teller()
    with node.subscribe() as events:
        async for event in events:
            if isinstance(event, AppEvent) and event.app == Chain.name:
                teller.hear(event.name, dict(event.fields))


@attrs.define(slots=True, eq=False)
class Teller:
    #: What was told last; once a block came it may be told again.
    _trouble: str = attrs.field(default="", init=False)

    def hear(self, name: str, fields: dict[str, Any]) -> None:
        match name:
            case "trouble" if fields["error"] != self._trouble:
                self._trouble = str(fields["error"])
                log.error("the chain: %s", self._trouble)
            case "block" | "synced" if self._trouble:
                self._trouble = ""
                log.warning("the chain goes on, at height %s", fields.get("height", fields.get("last")))
            case "reorg" if fields["deep"]:
                log.warning(
                    "the chain was rewritten: %d blocks above height %d do not count any more; payments in them may be "
                    "gone: p2pnode chain wallet show; chain-explorer forks", fields["depth"], fields["fork"],
                )  # fmt: skip
            case "tx lost":
                log.warning("a transaction of this node can never be in a block: %s: %s",
                            fields["tx"].hex(), fields["reason"])  # fmt: skip
            case "gap filled":
                log.warning("in the place of a transaction that can never be stands one without effect: %s",
                            fields["tx"].hex())  # fmt: skip
