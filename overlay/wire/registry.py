"""The numbers of the protocol: kinds of messages and what each may do, roles, types, statuses.

A number is never used again for something else.
"""

from __future__ import annotations

import enum


class Kind(enum.IntEnum):
    """What an envelope carries."""

    #: Are you there? Answered by PONG. Without token it is padded (limits.PADDED_PING).
    PING = 1
    #: I am; this is the address I see you at, and a token for it.
    PONG = 2
    #: Ask again with this token: the reply is longer than your request, or you want to change something.
    RETRY = 3
    #: Who is closest to this target?
    FIND_NODE = 4
    #: The closest that the sender knows.
    NODES = 5
    #: What do you hold under this key, or else who is closest?
    FIND_VALUE = 6
    #: A record that the sender holds.
    VALUE = 7
    #: Keep this record.
    STORE = 8
    #: What became of a STORE or PROVIDE.
    STORED = 9
    #: I have what belongs to this key.
    PROVIDE = 10
    #: Who has what belongs to this key, or else who is closest?
    FIND_PROVIDERS = 11
    #: A page of those who said so.
    PROVIDERS = 12
    #: A message to an application.
    APP_REQUEST = 13
    #: Its answer.
    APP_REPLY = 14
    #: A message of a topic, or a word about who passes messages to whom (GossipAct).
    GOSSIP = 15
    #: Reserved: public randomness.
    BEACON = 16
    #: Reserved: witnesses.
    WITNESS = 17
    #: Have my address dialled, or dial this one for a peer. Answered by PONG.
    DIALBACK = 18
    #: Reserved: hole punching.
    CONNECT = 19
    #: Reserved: evidence.
    EVIDENCE = 20
    #: Goodbye. Not answered.
    LEAVE = 21
    #: What do you hold near this point? A newcomer pulls what it should hold as well.
    FIND_KEYS = 22
    #: A page of keys.
    KEYS = 23
    #: What became of a GRAFT, PRUNE or HAVE.
    GOSSIPED = 24

    #: Of the number: the hash of an Enum is a Python function, and every message is looked up by its kind.
    __hash__ = int.__hash__

    # Set below, once, for the kinds in use. A reserved kind is neither request nor reply.

    #: Fewest items of its body.
    min_items: int
    #: Kinds that answer it, RETRY among them; empty if it is not a request.
    replies: tuple[Kind, ...]
    #: It is an answer, and counts only with the id of a request that we sent to that key and address.
    is_reply: bool
    #: It is done only with a valid token, whatever its size.
    needs_token: bool
    #: It changes something: its reply is cached, so that a retry does not act twice.
    acts: bool

    def __init__(self, _number: int) -> None:
        self.min_items = 0
        self.replies = ()
        self.is_reply = self.needs_token = self.acts = False


def _request(kind: Kind, min_items: int, *replies: Kind, needs_token: bool = False, acts: bool = False) -> None:
    kind.min_items, kind.needs_token, kind.acts = min_items, needs_token, acts
    kind.replies = (*replies, Kind.RETRY)


def _reply(kind: Kind, min_items: int) -> None:
    kind.min_items, kind.is_reply = min_items, True


_request(Kind.PING, 0, Kind.PONG)
_reply(Kind.PONG, 3)
_reply(Kind.RETRY, 1)
_request(Kind.FIND_NODE, 2, Kind.NODES)
_reply(Kind.NODES, 4)
_request(Kind.FIND_VALUE, 2, Kind.VALUE, Kind.NODES)
_reply(Kind.VALUE, 4)
_request(Kind.STORE, 4, Kind.STORED, needs_token=True, acts=True)
_reply(Kind.STORED, 2)
_request(Kind.PROVIDE, 2, Kind.STORED, needs_token=True, acts=True)
_request(Kind.FIND_PROVIDERS, 2, Kind.PROVIDERS, Kind.NODES)
_reply(Kind.PROVIDERS, 3)
_request(Kind.APP_REQUEST, 2, Kind.APP_REPLY, needs_token=True, acts=True)
_reply(Kind.APP_REPLY, 2)
_request(Kind.FIND_KEYS, 3, Kind.KEYS)
_reply(Kind.KEYS, 2)
_request(Kind.DIALBACK, 1, Kind.PONG, needs_token=True)
# Doing it twice changes nothing, so no reply is kept: messages are known by their hash.
_request(Kind.GOSSIP, 2, Kind.GOSSIPED, needs_token=True)
_reply(Kind.GOSSIPED, 6)

KIND_OF_NUMBER: dict[int, Kind] = {int(kind): kind for kind in Kind}


class Role(enum.IntEnum):
    """What a peer does for others; it says so itself in PONG and NODES."""

    #: Asks, stores nothing for others, is in nobody's table.
    CLIENT = 0
    #: Serves the DHT.
    FULL = 1
    #: Serves a region besides.
    SUPER = 2


class RecordType(enum.IntEnum):
    """What the inner bytes of STORE and VALUE are."""

    #: The value itself; its key is its hash.
    BLOB = 1
    #: A signed record (overlay.wire.records); its key follows from author and salt.
    SIGNED = 2


class StoreStatus(enum.IntEnum):
    """What became of a STORE or PROVIDE."""

    STORED = 0
    #: We hold a newer one; its seq is in the reply.
    OLDER = 1
    #: No room for this author, group or key.
    QUOTA = 2
    #: The record is not valid: signature, expiry, seq, size.
    INVALID = 3
    #: Compare-and-swap: what we hold has another seq, which is in the reply.
    CAS_MISMATCH = 4


class AppStatus(enum.IntEnum):
    """How an application answered."""

    OK = 0
    NO_SUCH_APP = 1
    REFUSED = 2
    FAILED = 3


class GossipAct(enum.IntEnum):
    """What a GOSSIP is about."""

    #: Here is a message. Not answered.
    PUBLISH = 1
    #: Take me into your mesh of this topic.
    GRAFT = 2
    #: You are no longer in my mesh of this topic.
    PRUNE = 3
    #: I have these messages; do you?
    HAVE = 4
    #: I lack the body of this message, and no stream of mine reaches you: open one to me.
    CALL = 5


class BodyAct(enum.IntEnum):
    """What is said on a stream of gossip."""

    #: Send me this body.
    ASK = 1
    #: The next bytes of it.
    PART = 2
    #: No more of it, and why.
    NO = 3


class BodyRefusal(enum.IntEnum):
    #: It is not here, or no longer.
    NOT_HERE = 0
    #: Not to you, or not now.
    NOT_NOW = 1


class GossipStatus(enum.IntEnum):
    """How two peers stand in one topic, as the sender sees it."""

    #: The other is in the sender's mesh: it gets each message at once.
    MESH = 0
    #: The sender subscribes, and the other is not in its mesh.
    KNOWN = 1
    #: The sender does not subscribe.
    STRANGER = 2
