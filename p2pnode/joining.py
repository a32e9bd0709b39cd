"""A node's way in and out: seeds are asked until one answers, peers of the LAN are tried, peers hear a goodbye."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import trio

from overlay.events import AppEvent, KeyElsewhere, PeerLost, PeerSeen, RoleChanged
from overlay.identity.node_id import format_id, node_id_of, short_id
from overlay.runtime.address import Address
from p2pnode.driver import CommandFailed, Driver
from p2pnode.transport.listing import Found
from p2pnode.transport.seeds import Seed

log = logging.getLogger(__name__)

#: A goodbye is one datagram a peer; who cannot say it in this time leaves without.
LEAVE_S = 2.0
#: Pauses between tries to join where nobody answered or the name was not known.
JOIN_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)
#: Peers other than the expected one that are named for one `--join`; whoever answers there may have many keys.
MOST_TOLD = 4


async def join(driver: Driver, seed: Seed, listen: Sequence[Address]) -> None:
    families = {len(address.ip) for address in listen}
    pauses = iter(JOIN_AGAIN_S)
    told: set[str] = set()
    while True:
        try:
            addresses = [address for address in await seed.resolve() if len(address.ip) in families]
            wanted = [{"address": str(address), "id": seed.id} for address in addresses]
            answer: dict[str, Any] = {"joined": 0, "others": []}
            if wanted:
                answer = await driver.command("join", addresses=wanted)
            if answer["joined"]:
                return
            for other in answer["others"]:
                if other["id"] not in told and len(told) < MOST_TOLD:
                    told.add(other["id"])
                    log.warning(
                        "did not join by %s: expected %s there, and %s answered; ask for a new ticket",
                        other["address"], seed.id or "the id of another --join", other["id"],
                    )  # fmt: skip
            log.info("nobody answered at %s yet", seed.text)
        except OSError as error:
            log.warning("cannot join %s: %s", seed.text, error.strerror or error)
        except CommandFailed as failed:
            log.warning("cannot join %s: %s", seed.text, failed.message)
        await trio.sleep(next(pauses, JOIN_AGAIN_S[-1]))


async def offer(driver: Driver, found: Found) -> None:
    """One address after another: a peer that answers at several would seem to move with each answer."""
    node_id = None if found.key is None else format_id(node_id_of(found.key))
    for address in found.addresses:
        try:
            answer = await driver.command("join", addresses=[{"address": str(address), "id": node_id}], keep=False)
        except CommandFailed as failed:
            log.info("cannot join a peer of the LAN: %s", failed.message)
            return
        if answer["joined"]:
            return


async def table(driver: Driver) -> int:
    try:
        return int((await driver.command("status"))["table"])
    except CommandFailed:
        return 0


async def leave(driver: Driver) -> None:
    with trio.move_on_after(LEAVE_S, shield=True):
        try:
            await driver.command("leave")
        except CommandFailed as failed:
            log.info("left without a goodbye: %s", failed.message)


async def log_events(driver: Driver) -> None:
    with driver.reports.subscribe() as events:
        async for event in events:
            match event:
                case PeerSeen(id, address, moved):
                    log.info("peer %s %s %s", short_id(id), "moved to" if moved else "at", address)
                case PeerLost(id, reason):
                    log.info("peer %s is gone: %s", short_id(id), reason)
                case RoleChanged(role):
                    log.info("role: %s", role)
                case KeyElsewhere(address):
                    log.warning(
                        "another node runs with a copy of this node's key, at %s, and peers cannot tell the two apart: "
                        "stop one, move its node.key away, and it gets an identity of its own", address,
                    )  # fmt: skip
                case AppEvent(app, "failed", fields) if {"error", "where"} <= dict(fields).keys():
                    told = dict(fields)
                    log.error("application %s has failed and does not run any more: %s (%s)",
                              app, told["error"], told["where"] or "p2pnode app events")  # fmt: skip
