"""Bounds of the bridge, each with its reason. The foreign side can spend this much and no more."""

from __future__ import annotations

#: `kademlia` and `rpcudp` hash and sign nothing; ids and keys are SHA-1 sized.
FOREIGN_KEY = 20
#: rpcudp 5.0: one byte of type and 20 of message id, then at most 8,192 of name and arguments.
#: The package checks the 8,192 at the sender only; here it is checked at the receiver.
MAX_FOREIGN_DATAGRAM = 21 + 8192
MIN_FOREIGN_DATAGRAM = 22
#: A value in msgpack. The package cannot send more than 8,137 in one store.
MAX_FOREIGN_VALUE = 8192

#: Keys that foreign peers may keep here, and their bytes: a quarter of overlay.limits.MAX_OWN_RECORDS
#: stays far from what the owner of the node may need.
MAX_KEYS = 1024
MAX_BYTES = 2 * 1024 * 1024
#: Records (signed records, providers and chunks) behind those keys; the other half of MAX_OWN_RECORDS is the owner's.
MAX_RECORDS = 2048
#: The package forgets a value after a week in which nobody stored it (ForgetfulStorage.ttl).
KEEP_S = 7 * 24 * 3600

#: The longest life of a record in our network; a bridged key is signed anew after half of it.
RECORD_TTL_S = 24 * 3600
RENEW_S = RECORD_TTL_S // 2
RENEW_CHECK_S = 60
#: Renewals have their own places, few, so that those which our network does not take leave the foreign side alone;
#: the others get on even if each of 1,024 keys takes the longest: 1024 / 16 rounds of 4 x 60 + 60 s are 5.3 h.
RENEW_AT_ONCE = 4
RENEW_LIMIT_S = 60.0

#: The package gives up after 5 s and drops us from its table, so an answer leaves before.
ANSWER_S = 4.0
#: Values published and keys looked up in the overlay at once, and waiting for it; renewals begun in a round.
MAX_AT_ONCE = 16
MAX_WAITING = 512
#: Publishing is about 100 RPCs in our network: sustained rate and burst. Excess waits, then is refused.
STORES_PER_S = 50
STORE_BURST = 400
#: A miss costs a lookup in our network, a datagram in theirs.
FINDS_PER_S = 200
FIND_BURST = 800
#: An answer of the overlay is reused this long (a foreign get asks once; floods ask often).
CACHE_S = 1.0
MAX_CACHED = 1024
#: Bridges whose record is fetched for one key.
MAX_AUTHORS = 8

#: Foreign peers that are handed out; a foreign network that the bridge can serve fully has 20.
MAX_CONTACTS = 512
#: ... of them at one address, ports apart, unless it is loopback.
MAX_CONTACTS_PER_HOST = 64
#: k of the package.
NEIGHBOURS = 20
#: Addresses that are answered, contacts or not.
MAX_PROOFS = 4096
#: How long an address that answered a ping counts as proven, and how often contacts are pinged.
PROVEN_S = 600
CONTACT_PING_S = 60
UPKEEP_S = 5
PINGS_PER_UPKEEP = 64
#: Pings on their way to unproven addresses, requests held for them, and for one of them.
MAX_PROVING = 128
MAX_HELD = 256
MAX_HELD_PER_ADDRESS = 16
#: Round trip allowed for the proof. Loopback and LANs need milliseconds; 2 s is the far side of the world.
PROOF_S = 2.0
#: Requests being served at once.
MAX_SERVING = 512

#: Datagrams a second that are looked at: from one host (loopback: port), and in all. A refused one costs about 4 us.
DATAGRAMS_PER_ADDRESS_S = 500
DATAGRAM_BURST_PER_ADDRESS = 1000
DATAGRAMS_PER_S = 4000
DATAGRAM_BURST = 8000
MAX_ADDRESSES_METERED = 4096
