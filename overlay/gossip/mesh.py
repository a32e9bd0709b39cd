"""Who passes the messages of one topic to whom at once: this node's part of the mesh.

The bounds follow gossipsub (libp2p/specs, pubsub/gossipsub v1.0 and v1.1). Two things differ. A member counts as
good only if it brings messages, so that those who never pass anything on cannot fill the mesh. And of those who
chose us at most MESH_HIGH - MESH_OUT are taken, so that there is always room for those whom we choose.
"""

from __future__ import annotations

import attrs

from overlay.limits import MAX_CONDUCTS, MESH, MESH_CLIENTS, MESH_HIGH, MESH_LOW, MESH_OUT
from overlay.rpc.contact import Contact
from overlay.runtime.ports import SECOND

#: gossipsub v1.1: prune back-off.
BACKOFF_S = 60
#: So many messages of others went by without one from this member: it is silent.
_FAIR_CHANCE = 12
#: ... and it was there for so long.
_FAIR_TIME_NS = 20 * SECOND


@attrs.define(slots=True, eq=False)
class Member:
    contact: Contact
    #: We chose it.
    outbound: bool
    since_ns: int
    #: When it last said anything about this topic.
    heard_ns: int
    #: Its key solves no puzzle: it is served, and counts for nothing.
    client: bool = False
    #: Messages that it brought us before it could have had them from us.
    brought: int = 0
    #: Messages of others that it did not bring.
    missed: int = 0

    def silent(self, now_ns: int) -> bool:
        """It had its chance and brought nothing."""
        return not self.brought and self.missed >= _FAIR_CHANCE and now_ns - self.since_ns >= _FAIR_TIME_NS


@attrs.define(slots=True, eq=False)
class Mesh:
    """By public key: who comes back from another address is still the same."""

    members: dict[bytes, Member] = attrs.Factory(dict)
    #: Asked to take us in, not answered yet.
    asked: dict[bytes, None] = attrs.Factory(dict)
    #: Key -> when it may be asked, or may ask us, again.
    _backoff: dict[bytes, int] = attrs.Factory(dict)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, key: bytes) -> bool:
        return key in self.members

    @property
    def outbound(self) -> int:
        return sum(1 for member in self.members.values() if member.outbound)

    def wanted(self, now_ns: int, *, fill: bool = False) -> int:
        """How many to ask now: two at a time, since others ask us meanwhile. `fill`: up to MESH, not MESH_LOW only."""
        asked = len(self.asked)
        good = sum(1 for member in self.members.values() if not member.client and not member.silent(now_ns)) + asked
        missing = max((MESH if fill else MESH_LOW) - good, MESH_OUT - self.outbound - asked, 0)
        return max(0, min(missing, 2, MESH_HIGH - len(self.members) - asked))

    def may_ask(self, key: bytes, now_ns: int) -> bool:
        return key not in self.members and key not in self.asked and not self.backoff_s(key, now_ns)

    def backoff_s(self, key: bytes, now_ns: int) -> int:
        """Seconds, rounded up; 0: none."""
        return max(0, -((now_ns - self._backoff.get(key, now_ns)) // SECOND))

    def ask(self, key: bytes) -> None:
        """A GRAFT goes out."""
        self.asked[key] = None

    def unanswered(self, key: bytes) -> None:
        self.asked.pop(key, None)

    def taken_in(self, contact: Contact, now_ns: int) -> bool:
        """It took us in. False: there is no room any more, tell it."""
        self.asked.pop(contact.key, None)
        member = self.members.get(contact.key)
        if member is not None:  # it asked us at the same time
            member.outbound = True
            return True
        if len(self.members) >= MESH_HIGH:
            return False
        self.members[contact.key] = Member(contact, True, now_ns, now_ns)
        return True

    def refused(self, key: bytes, backoff_s: int, now_ns: int) -> None:
        """It did not take us in, or put us out."""
        self.asked.pop(key, None)
        self.members.pop(key, None)
        self._stay_away(key, max(backoff_s, 1), now_ns)

    @property
    def clients(self) -> int:
        return sum(1 for member in self.members.values() if member.client)

    def asks(self, contact: Contact, now_ns: int, *, client: bool = False) -> int:
        """It wants us in its mesh: 0 if it is in ours now, else the seconds to stay away."""
        key = contact.key
        member = self.members.get(key)
        if member is not None:
            member.contact, member.heard_ns = contact, now_ns
            return 0
        inbound = len(self.members) - self.outbound
        early = self.backoff_s(key, now_ns)
        # A place is kept for each of those whom we asked already.
        full = len(self.members) + len(self.asked) >= MESH_HIGH or inbound >= MESH_HIGH - MESH_OUT
        if early or full or (client and self.clients >= MESH_CLIENTS):
            # Who asks too early starts anew.
            self._stay_away(key, BACKOFF_S, now_ns)
            return BACKOFF_S
        self.members[key] = Member(contact, False, now_ns, now_ns, client=client)
        return 0

    def drop(self, key: bytes, *, now_ns: int, backoff_s: int = 0) -> bool:
        """Whether it was a member."""
        if backoff_s:
            self._stay_away(key, backoff_s, now_ns)
        return self.members.pop(key, None) is not None

    def silent(self, now_ns: int) -> list[Member]:
        """Those whom we chose and who bring nothing. Who chose us is only served, and counts for nothing."""
        return [member for member in self.members.values() if member.outbound and member.silent(now_ns)]

    def surplus(self, now_ns: int) -> Member | None:
        """One to prune if they are more than the mesh is to have: the most silent of those who chose us."""
        if len(self.members) <= MESH + 2:
            return None
        inbound = [member for member in self.members.values() if not member.outbound]
        return min(inbound, key=lambda member: (member.brought, -member.missed), default=None)

    def expire(self, now_ns: int) -> None:
        self._backoff = {key: until for key, until in self._backoff.items() if until > now_ns}

    def _stay_away(self, key: bytes, seconds: int, now_ns: int) -> None:
        until_ns = max(now_ns + seconds * SECOND, self._backoff.pop(key, 0))
        if len(self._backoff) >= MAX_CONDUCTS:
            del self._backoff[next(iter(self._backoff))]
        self._backoff[key] = until_ns
