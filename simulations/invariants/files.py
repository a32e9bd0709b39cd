"""Shares of files: what is marked as held is the original, and what others can fill is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from apps.files.core import limits
from apps.files.core.app import Files
from apps.files.core.channel import Channel
from apps.files.core.share import Share
from simulations.files.world import FilesWorld
from simulations.invariants.base import Broken

if TYPE_CHECKING:
    from simulations.swarm import Swarm


class FilesTrue:
    """No unit that is not of the original is ever written at an honest node, none is told of that is not written, and
    what file sharing keeps of shares and peers is within apps/files/core/limits.py."""

    name: ClassVar[str] = "files-true"

    def __init__(self, swarm: Swarm) -> None:
        self._world = swarm.worlds.find(FilesWorld)

    def sample(self, swarm: Swarm) -> list[Broken]:
        world = self._world
        if world is None:
            return []
        found = []
        for node in swarm.honest():
            wrong = [f"{world.disk(node).wrong} units that are not of the original were written"]
            what = wrong if world.disk(node).wrong else []
            if node in world.running:
                what += _beyond(world, node)
                what += [f"{n:,} {what}, at most {most:,} are allowed" for what, n, most in _sizes(world.running[node])
                         if n > most]  # fmt: skip
            found += [Broken(self.name, node, swarm.now_s, one) for one in what]
        return found

    def at_end(self, swarm: Swarm) -> list[Broken]:
        return self.sample(swarm)


def _beyond(world: FilesWorld, node: int) -> Iterator[str]:
    for share_id, running in world.running[node].shares.items():
        there = sum(1 << unit for unit in world.disk(node).held.get(share_id, ()))
        if more := running.share.have & ~there:
            yield f"{more.bit_count()} units are told of that are not on the disk"


def _sizes(files: Files) -> Iterator[tuple[str, int, int]]:
    """(what, how much, at most)."""
    for whose, incoming, most in (
        ("own", False, limits.MAX_OWN_SESSIONS),
        ("others'", True, limits.MAX_THEIR_SESSIONS),
    ):
        there = [session for session in files.sessions.values() if session.stream.incoming is incoming]
        yield f"{whose} sessions", len(there), most
    for session in files.sessions.values():
        yield "channels of a session", len(session.channels()), limits.MAX_CHANNELS
        # What its own side says is not read from it: HAVE and requests, bounded by MAX_SOURCES and the window.
        yield "messages that wait", session.backlog, 2 * limits.MAX_QUEUED_ANSWERS
    for running in files.shares.values():
        share = running.share
        yield "candidates", len(running.sources._candidates), limits.MAX_CANDIDATES
        yield from _of_share(share)
        for channel in share.channels.values():
            yield from _of_channel(channel)


def _of_share(share: Share) -> Iterator[tuple[str, int, int]]:
    firsts = share.firsts
    yield "peers of a share", len(share.channels), limits.MAX_SOURCES
    yield "bytes that were said too early", share.hearing.early_bytes, limits.MAX_EARLY_BYTES
    yield "peers whose conduct is known", len(share.conducts), limits.MAX_CONDUCTS
    yield "peers that are done with", len(share.banned), limits.MAX_BANNED
    yield "peers that sent corrupt units", len(share.strikes), limits.MAX_BANNED
    yield "peers with first copies", len(firsts._accounts), limits.MAX_BANNED
    yield "peers that were refused a unit", len(firsts._refused), limits.MAX_SOURCES
    if share.layout is not None:
        yield "first copies", len(firsts._given), share.layout.units
    if share.download is not None:
        most = limits.MAX_UNWRITTEN_BYTES + len(share.channels) * limits.MAX_WINDOW_BYTES
        yield "bytes that are not written", share.download.arrivals.unwritten, most


def _of_channel(channel: Channel) -> Iterator[tuple[str, int, int]]:
    yield "units asked for by a peer", len(channel.serving), limits.MAX_ASKED_UNITS
    yield "units asked of a peer", len(channel.asked), limits.MAX_ASKED_UNITS
    yield "withdrawn requests", len(channel.withdrawn), limits.MAX_WITHDRAWN
