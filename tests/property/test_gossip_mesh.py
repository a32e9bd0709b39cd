"""The mesh of one topic under any order of events: degree, places for our own choice, back-off."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from overlay.gossip.mesh import BACKOFF_S, Mesh
from overlay.limits import MESH, MESH_CLIENTS, MESH_HIGH, MESH_LOW, MESH_OUT
from overlay.rpc.contact import Contact, ContactBook
from overlay.runtime.address import Address
from overlay.runtime.ports import SECOND

BOOK = ContactBook()
CONTACTS = [BOOK.contact(bytes([n]) * 32, Address(bytes((10, 0, 0, n + 1)), 4433)) for n in range(24)]
WHO = st.sampled_from(CONTACTS)


class MeshMachine(RuleBasedStateMachine):
    """The model: who is in, whether we chose it, who was asked, and until when each stays away."""

    def __init__(self) -> None:
        super().__init__()
        self.mesh = Mesh()
        self.now_ns = 1000 * SECOND
        self.members: dict[bytes, bool] = {}
        #: Of those who asked us; they count for nothing.
        self.clients: set[bytes] = set()
        self.asked: set[bytes] = set()
        self.away_until: dict[bytes, int] = {}

    def _away(self, contact: Contact, seconds: int) -> None:
        until = self.now_ns + seconds * SECOND
        self.away_until[contact.key] = max(until, self.away_until.get(contact.key, 0))

    def _stays_away(self, contact: Contact) -> bool:
        return self.away_until.get(contact.key, 0) > self.now_ns

    @rule(seconds=st.sampled_from([0, 1, 20, 59, 60, 61, 300]))
    def time_passes(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND
        self.mesh.expire(self.now_ns)

    @rule(who=WHO, client=st.booleans())
    def it_asks_us(self, who: Contact, client: bool) -> None:
        known = who.key in self.members
        inbound = sum(1 for chosen in self.members.values() if not chosen)
        room = len(self.members) + len(self.asked) < MESH_HIGH and inbound < MESH_HIGH - MESH_OUT
        room = room and not (client and len(self.clients & set(self.members)) >= MESH_CLIENTS)
        answer = self.mesh.asks(who, self.now_ns, client=client)
        if known:
            assert answer == 0
        elif room and not self._stays_away(who):
            assert answer == 0
            self.members[who.key] = False
            (self.clients.add if client else self.clients.discard)(who.key)
        else:
            assert answer == BACKOFF_S
            self._away(who, BACKOFF_S)

    @rule(who=WHO, fill=st.booleans())
    def we_ask_as_many_as_are_wanted(self, who: Contact, fill: bool) -> None:
        wanted = self.mesh.wanted(self.now_ns, fill=fill)
        good = len(set(self.members) - self.clients) + len(self.asked)
        outbound = sum(self.members.values()) + len(self.asked)
        assert 0 <= wanted <= 2
        assert len(self.members) + len(self.asked) + wanted <= MESH_HIGH
        if len(self.members) + len(self.asked) >= MESH_HIGH:
            assert not wanted
        elif good < MESH_LOW or (fill and good < MESH) or outbound < MESH_OUT:
            assert wanted
        else:
            assert not wanted
        may = self.mesh.may_ask(who.key, self.now_ns)
        assert may == (who.key not in self.members and who.key not in self.asked and not self._stays_away(who))
        if wanted and may:
            self.mesh.ask(who.key)
            self.asked.add(who.key)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), answer=st.sampled_from(["in", "no", "silence"]))
    def it_answers(self, data: st.DataObject, answer: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.asked)))
        who = next(contact for contact in CONTACTS if contact.key == key)
        self.asked.discard(key)
        match answer:
            case "in":
                assert self.mesh.taken_in(who, self.now_ns) == (key in self.members or len(self.members) < MESH_HIGH)
                if key not in self.members and len(self.members) < MESH_HIGH:
                    self.clients.discard(key)
                self.members[key] = True
            case "no":
                self.mesh.refused(key, 30, self.now_ns)
                self.members.pop(key, None)
                self._away(who, 30)
            case _:
                self.mesh.unanswered(key)

    @rule(who=WHO, backoff_s=st.sampled_from([0, 60]))
    def it_is_put_out(self, who: Contact, backoff_s: int) -> None:
        assert self.mesh.drop(who.key, now_ns=self.now_ns, backoff_s=backoff_s) == (who.key in self.members)
        self.members.pop(who.key, None)
        if backoff_s:
            self._away(who, backoff_s)

    @rule()
    def surplus_is_never_our_own_choice(self) -> None:
        member = self.mesh.surplus(self.now_ns)
        inbound = [key for key, chosen in self.members.items() if not chosen]
        if len(self.members) > MESH + 2 and inbound:
            assert member is not None
            assert member.contact.key in inbound
        else:
            assert member is None

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        assert {key: member.outbound for key, member in self.mesh.members.items()} == self.members
        assert set(self.mesh.asked) == self.asked

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.mesh) <= MESH_HIGH
        assert len([m for m in self.mesh.members.values() if m.client and not m.outbound]) <= MESH_CLIENTS
        assert len(self.mesh) - self.mesh.outbound <= MESH_HIGH - MESH_OUT


TestMesh = MeshMachine.TestCase
