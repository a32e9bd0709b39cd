"""Every bound of the overlay, with its reason and source. Nothing grows without one."""

from __future__ import annotations

# --- datagrams -----------------------------------------------------------------------------
#: IPv6 minimum MTU 1280 less 40 (IPv6) and 8 (UDP): RFC 8200 section 5, as QUIC's 1200 reasons.
MAX_DATAGRAM = 1232
#: XChaCha20-Poly1305: 24 bytes nonce, 16 bytes tag.
SEAL_OVERHEAD = 40
#: Before sealing, so that public and private networks carry the same messages.
MAX_PLAIN_DATAGRAM = MAX_DATAGRAM - SEAL_OVERHEAD
#: A PING that is neither padded nor has a token.
BARE_PING = 142
#: A PING without token is padded to this: its PONG (171 bytes with an IPv6 address) and a bare PING
#: back, both sealed, are not longer.
PADDED_PING = 360
#: A FIND_* without token may be padded to this and is then answered at once.
PADDED_FIND = MAX_PLAIN_DATAGRAM
#: Nesting of CBOR in any message; ours need 4.
MAX_CBOR_DEPTH = 8
#: Items of one CBOR message: 1,192 bytes could hold 1,191 one-byte items.
MAX_CBOR_ITEMS = 1200

# --- records -------------------------------------------------------------------------------
#: Inner signed object, COSE included: a STORE with token is then <= 1,192 before sealing.
MAX_RECORD = 1000
MAX_SALT = 32
MAX_VALUE = 832
#: Life of a record on a stranger's disk; its author republishes it.
MAX_RECORD_TTL_MS = 24 * 3600 * 1000
#: A seq may be this far ahead of the clock of the node that stores it.
MAX_SEQ_AHEAD_MS = 24 * 3600 * 1000
#: No reader believes a larger one, whoever holds it: its author could never sign another.
MAX_SEQ = 1 << 62
#: 65,536 x 1 kB = 64 MiB of records a node.
MAX_RECORDS = 65_536
#: One author may fill a sixteenth of that with signed records.
MAX_RECORDS_PER_AUTHOR = 4_096
#: One storing group (diversity.py) may fill a quarter.
MAX_RECORDS_PER_GROUP = 16_384
MAX_PROVIDERS_PER_KEY = 64
#: Of all keys together: as many as records.
MAX_PROVIDERS = 65_536
#: Provider records a page of PROVIDERS, as many as fit into a datagram.
PROVIDERS_PER_PAGE = 5
#: Keys a page of KEYS: 32 x 32 bytes.
KEYS_PER_PAGE = 32
#: Own records that are republished.
MAX_OWN_RECORDS = 4_096

# --- DHT -----------------------------------------------------------------------------------
K = 20  # Kademlia paper 2.3; BitTorrent 8, Ethereum 16, libp2p 20.
ALPHA = 3  # Kademlia paper 2.3.
#: Disjoint paths of a secure GET or PUT: S/Kademlia section 5 recommends 4..8.
PATHS = 8
#: Closest candidates a path follows on its own account, whatever the other paths found.
PATH_WIDTH = 4
#: Stores of one region PUT at most.
MAX_REGION_STORES = 256
#: Nodes that the radius of a region PUT is expected to hold.
REGION_NODES = 20
#: Holders that must agree before a GET of a signed record stops early.
AGREEING_HOLDERS = 3
#: Candidates of one lookup: 8 paths x 20 contacts x a few hops.
MAX_LOOKUP_CANDIDATES = 1024
#: Addresses of one key in a lookup: honest keys may be given at false addresses.
MAX_ADDRESSES_PER_KEY = 3
#: Candidates of one address group in a lookup (global addresses only).
MAX_CANDIDATES_PER_GROUP = 3
#: RPCs of one lookup.
MAX_LOOKUP_RPCS = 512
MAX_LOOKUPS = 256  # at once; more are refused
LOOKUP_DEADLINE_S = 20
REPLACEMENTS = 10  # per bucket; geth 10
ANCHORS = 8  # contacts kept over restarts
#: Places that a node is told to join at, and ids of which one must answer there: tickets of a node that got new keys.
MAX_SEEDS = 64
MAX_IDS_PER_SEED = 8
#: Addresses that are dialled for others within 10 s, to prove that they can be reached.
MAX_DIALLED = 16
#: Records asked for in one round of taking over: 4,096 x 1 kB.
MAX_PULLED = 4096
#: Addresses of contacts that left in silence: after a long cut any one of them leads back.
LOST_REMEMBERED = 64
#: Global addresses in one bucket and in the table per /24 (IPv6 /48): geth 2 and 10.
MAX_PER_SUBNET_IN_BUCKET = 2
MAX_PER_SUBNET_IN_TABLE = 10
#: ... and per /16 (IPv6 /32): max(this, 10 % of the table).
MAX_PER_WIDE_SUBNET = 10
#: Below this many contacts the diversity caps only order eviction.
DIVERSITY_FLOOR = 50

# --- requests ------------------------------------------------------------------------------
#: Requests waiting for a reply at once; 4,096 x about 1 kB.
MAX_PENDING = 4096
#: A NAT keeps open for so long what a datagram from inside has opened: RFC 4787 REQ-5 recommends 5 minutes.
NAT_OPEN_S = 300
#: Addresses that were asked in that time and never answered; of more, those asked last.
MAX_UNANSWERED = 1024
#: Requests that were given up lately and whose answers still count.
MAX_LATE = 64
#: Tries of one request; "8 of 10 failed" then has a false-positive rate of 9e-10 at 20 % loss.
TRIES = 3
#: RFC 6298 with bounds for datagrams: scheduling noise of a loaded machine below, 2 s above.
MIN_RTO_MS = 25
INITIAL_RTO_MS = 500
MAX_RTO_MS = 2000
#: The last try waits at least this long: a peer whose machine was busy for a moment is not dead.
#: Nobody waits for it: a lookup and a PUT go on after the second try (overlay.dht.shortlist, LATE).
LAST_TRY_MS = 400
#: Peers whose round-trip time and health are remembered.
MAX_PEERS_REMEMBERED = 8192
#: Senders whose highest stamp is remembered.
MAX_STAMPS_REMEMBERED = 8192
#: A request older than the newest seen this long ago is stale.
FRESH_WINDOW_S = 30
REPLY_CACHE_S = 30
REPLY_CACHE_PER_PEER = 256
REPLY_CACHE_BYTES = 8 * 1024 * 1024
TOKEN_ROTATION_S = 600
#: Stamps are reserved on disk so many milliseconds ahead of the clock, anew when half is used: a sync a minute, and
#: what a crash moves them ahead by, 131 s ...
STAMP_BLOCK = 1 << 17
#: ... and at least so many ahead of the last one, which may be ahead of the clock: a node whose disk
#: is full still says 32,768.
STAMP_SPARE = 1 << 16
#: Strangers of one NODES answer that we ask, per group of global addresses and per address and port.
PROBES_PER_GROUP = 3
#: PINGs a second to addresses that asked us something and never answered; one a second to each.
PROBES_PER_S = 256
#: Ports below are never contacted on the word of a stranger (DNS, NTP, SNMP reflect).
MIN_FOREIGN_PORT = 1024
#: Datagrams a second that one address may have us verify (a signature costs 45 us): then dropped.
MAX_DATAGRAMS_PER_ADDRESS_S = 2000
MAX_ADDRESSES_METERED = 8192

# --- applications --------------------------------------------------------------------------
#: Body of an application's datagram or gossip message.
MAX_APP_BODY = 900
MAX_APPS = 64
MAX_APP_NAME = 32
#: Requests that one application is answering at once, and of one peer: neither a peer nor an application whose handler
#: is slow takes what others need. 64 x 512 tasks of 4 kB are 128 MB.
MAX_APP_SERVING = 512
MAX_APP_SERVING_PER_PEER = 32
#: Commands of one application.
MAX_APP_COMMANDS = 64
#: Nesting of what a command of an application answers.
MAX_ANSWER_DEPTH = 16
#: Computations and operations of all applications under way at once; a node has 4 threads for them.
MAX_WORK = 1024
#: Keys and values that one application may store; 64 of them fill 4 GiB. Files have a store of their own.
MAX_APP_STORAGE = 64 * 1024 * 1024
MAX_APP_KEY = 256
MAX_APP_VALUE = 64 * 1024

# --- streams -------------------------------------------------------------------------------
#: A Noise message of a handshake; the longest of ours has 251 bytes.
MAX_HANDSHAKE_MESSAGE = 512
#: Life of the signature that binds the key of streams to a peer; it is renewed after half of it.
BINDING_TTL_MS = 24 * 3600 * 1000
#: ... seen from a clock that is a day behind.
MAX_BINDING_AHEAD_MS = 2 * BINDING_TTL_MS
#: From the first byte, or from being connected, until both sides have agreed on a protocol.
HANDSHAKE_S = 5
#: Until a peer that is dialled takes the connection: three tries of TCP (RFC 6298: after 1 s and 3 s more).
DIAL_S = 8
#: Addresses of a peer at which one stream is tried, each so long after the one before (RFC 8305, section 8).
MAX_DIAL_ADDRESSES = 4
DIAL_NEXT_MS = 250
#: Incoming handshakes at once, and of one address (IPv6: /64); 256 x about 2 kB. At the second bound the oldest
#: silent one of that address makes room, at the first the oldest of the address that has most.
MAX_HANDSHAKES = 256
MAX_HANDSHAKES_PER_ADDRESS = 32
#: Streams that are being opened at once.
MAX_DIALS = 64
#: Streams at once; of them those that others opened; of one peer, both ways; of one address that others opened
#: (many peers may run on one machine).
MAX_STREAMS = 1024
MAX_INCOMING_STREAMS = 768
MAX_STREAMS_PER_PEER = 32
MAX_STREAMS_PER_ADDRESS = 256
#: Tasks of one application that talk on streams of others, and for one peer: such a task may outlive its stream.
MAX_APP_STREAMS = MAX_INCOMING_STREAMS
MAX_APP_STREAMS_PER_PEER = MAX_STREAMS_PER_PEER
#: One message on a stream: a unit of a file and its head.
MAX_STREAM_MESSAGE = 256 * 1024 + 1024
#: Bytes of the name of a protocol: "/<application>/<protocol>".
MAX_PROTOCOL_NAME = 2 * MAX_APP_NAME + 2
#: Bytes of text in END.
MAX_END_TEXT = 100
#: Bytes of a stream that the shell holds unsent: from here on `send` waits, below the second it goes on.
UNSENT_HIGH = 1 << 20
UNSENT_LOW = 1 << 19
#: Unread and granted bytes of a stream: as long as its application has read little, and then. 8 Gbit/s over 2 ms, or
#: 1 Gbit/s over 16 ms.
FIRST_WINDOW = 384 * 1024
STREAM_WINDOW = 2 << 20
#: Streams that may have the large window at once: 128 MiB.
MAX_LARGE_WINDOWS = 64
#: Messages of a stream that wait for their reader; further ones stay unparsed within the window.
MAX_UNREAD_MESSAGES = 4096
#: Frames of a stream that are no messages, beside one a second and one a message: a side asks and answers every 5 s,
#: and all of it may come at once. 384 KiB of empty ones would take 0.15 s.
MAX_SPARE_FRAMES = 1024
#: A stream that says nothing is asked after this, ...
KEEP_ALIVE_S = 10
#: ... then this often, and after so many questions it is gone: 25 s after its last word.
PROBE_S = 5
MAX_PROBES = 3
#: Whoever takes nothing of what waits for it for so long loses the stream.
STALLED_S = 60
#: Streams of protocols of others, which nobody vouches for, have places apart from all of these: at once; of them those
#: that others opened; with one address (IPv6: /64), both ways; being opened. A client of BitTorrent has 200
#: (connections_limit of libtorrent).
MAX_PLAIN = 256
MAX_INCOMING_PLAIN = 192
MAX_PLAIN_PER_ADDRESS = 32
MAX_PLAIN_DIALS = 32
#: ... with the large window: 32 MiB.
MAX_PLAIN_LARGE_WINDOWS = 16
#: ... on which the other side says nothing, unless the protocol has it otherwise: BEP 3 has a keep-alive every 120 s.
PLAIN_IDLE_S = 150
#: Tasks of one application that talk on those that others opened.
MAX_APP_PLAIN = MAX_INCOMING_PLAIN
#: Connections that have not said yet what they are, of all and of one address (IPv6: /64). A peer says it with its
#: first packet, so 16 places are emptied by newer ones only against an attacker who is faster than its way here.
MAX_SILENT_SOCKETS = 128
MAX_SILENT_PER_ADDRESS = 16
#: Streams that the core has closed and whose last bytes are still carried, and for how long.
MAX_LINGERING = 128
MAX_LINGERING_PER_ADDRESS = 32
#: ... of those that were never sealed, so that who needs no handshake does not cut the last bytes of who made one.
MAX_PLAIN_LINGERING = 64
MAX_PLAIN_LINGERING_PER_ADDRESS = 8
STREAM_LINGER_S = 60
#: Descriptors of all of these, second addresses that are tried included; fewer where the system gives fewer.
_MORE_DIALS = MAX_DIALS * (MAX_DIAL_ADDRESSES - 1)
_SEALED = MAX_STREAMS + MAX_HANDSHAKES + MAX_LINGERING + _MORE_DIALS
MAX_STREAM_SOCKETS = _SEALED + MAX_PLAIN + MAX_PLAIN_LINGERING + MAX_SILENT_SOCKETS

# --- gossip --------------------------------------------------------------------------------
#: Peers to whom each message of a topic is passed at once: few enough for one datagram each, enough that
#: losing a third of them cuts nobody off (gossipsub v1.0: D 6, D_low 4, D_high 12; v1.1: D_out 2).
MESH = 6
MESH_LOW = 4
MESH_HIGH = 12
#: Members that we chose ourselves, so that those who choose us cannot take the whole mesh.
MESH_OUT = 2
#: What a peer may ask another to stay out of its mesh for: an hour, as nothing here is remembered for longer.
MAX_BACKOFF_S = 3600
#: Members whose key solves no puzzle: they are served, and cost their owner nothing, so they get two places.
MESH_CLIENTS = 2
#: Bytes of the name of a topic in UTF-8.
MAX_TOPIC = 64
#: Body of a message that travels in its datagram: as of an application's datagram, and ...
MAX_PUBLISH_BODY = 900
#: ... with the topic and its CBOR head at most this: the author's signed object (112 + 13 bytes around it) is
#: inside a signed datagram with token (155 around that) of MAX_PLAIN_DATAGRAM. So the whole 900 for topics of
#: up to 11 bytes, 878 for 32, 846 for 64.
PUBLISH_ROOM = MAX_PLAIN_DATAGRAM - 280
#: A longer one goes by stream: 1 MiB, as go-libp2p-pubsub has it (DefaultMaxMessageSize); 0.8 s of a line of 10 Mbit/s.
MAX_LARGE_BODY = 1 << 20
#: It travels in parts of this: a source that brings one in 3 s (gossip/lines.py) has 11 kB/s.
BODY_PART = 32 * 1024
#: Bytes of large bodies a second and at once of one author, whoever passes them on: 2 Mbit/s, which each subscriber
#: takes once and gives once on average.
BODY_BYTES_PER_AUTHOR_S = 256 * 1024
BODY_BYTES_PER_AUTHOR_BURST = 4 * MAX_LARGE_BODY
#: Bytes of large bodies kept to be given again, of all authors and of one; no longer than KEPT_S.
MAX_KEPT_BODY_BYTES = 32 << 20
MAX_KEPT_BODY_BYTES_PER_AUTHOR = 8 << 20
#: One peer gets one body so often: once, and once more if the first did not arrive.
MAX_BODY_GIVEN = 2
#: Messages whose bodies are awaited, and their bytes, of all and of one author.
MAX_AWAITED = 64
MAX_AWAITED_PER_AUTHOR = 8
MAX_AWAITED_BYTES = 16 << 20
MAX_AWAITED_BYTES_PER_AUTHOR = 4 << 20
#: Peers that are known to have an awaited body: as many as a mesh has.
MAX_BODY_SOURCES = MESH_HIGH
#: Sources that bring one at the same time: the second and third only where the others bring nothing.
MAX_BODY_RUNNING = 3
#: Streams of gossip, both ways: an eighth of all. Idle ones make room, those of strangers first.
MAX_BODY_STREAMS = 128
#: ... and half of those that a peer opens at once.
MAX_BODY_DIALS = MAX_DIALS // 2
#: Bodies that are asked for on one stream at once.
MAX_BODY_ASKS = MAX_AWAITED
#: Bytes of a message's id, and ids of one HAVE: as many as fit beside the topic's key.
MESSAGE_ID = 16
MAX_HAVE = 60
#: Subscribers named in PRUNE and in the answer to GRAFT: 8 x 50 bytes.
MAX_PASSED_ON = 8
#: Topics that a node subscribes or lately published to, subscriptions of all of them.
MAX_TOPICS = 256
MAX_SUBSCRIPTIONS = 1024
#: Messages that wait for a reader before the oldest is dropped, unless it asks for another number.
SUBSCRIPTION_BUFFER = 256
MAX_SUBSCRIPTION_BUFFER = 65_536
#: ... or, of large ones, before so many bytes wait.
MAX_SUBSCRIPTION_BYTES = 16 << 20
#: Subscribers known of one topic beside those in its mesh, and those that fell silent lately.
MAX_KNOWN_SUBSCRIBERS = 64
MAX_LOST_SUBSCRIBERS = 32
#: Ids of messages seen; older ones are recognised by their author's stamps (gossip/memory.py).
MAX_SEEN_MESSAGES = 16_384
SEEN_S = 120
#: Messages kept to be given again, of all topics: 4,096 x 1.1 kB; less long than others remember that they saw them.
MAX_KEPT_MESSAGES = 4_096
KEPT_S = 100
#: Peers known to have one message: those of the mesh, those asked to take us in, and all other subscribers known.
MAX_HAVERS = 2 * MESH_HIGH + MAX_KNOWN_SUBSCRIBERS
#: Authors whose stamps and rate are remembered.
MAX_AUTHORS = 4_096
#: Messages a second and at once of one author, whoever passes them on: 64 cost a core a twentieth.
MESSAGES_PER_AUTHOR_S = 64
MESSAGES_PER_AUTHOR_BURST = 256
#: A message this much older or newer than the receiver's clock is not taken: it could be a replay.
MAX_MESSAGE_SKEW_S = 3600
#: Peers whose conduct in meshes is remembered, by key.
MAX_CONDUCTS = 1_024
#: Messages that others promised and were asked for.
MAX_WANTED = 1_024
#: ... of one peer: two HAVE.
MAX_OPEN_PROMISES = 2 * MAX_HAVE
#: Messages that wait for the token of one receiver, and such receivers.
MAX_WAITING_MESSAGES = 16
MAX_GREETINGS = 64

# --- scheduler and ports -------------------------------------------------------------------
#: Steps of one drain before the loop says that something spins.
MAX_STEPS_PER_DRAIN = 1_000_000
#: Commands of the API being served at once.
MAX_COMMANDS = 1024

# --- identity and networks -----------------------------------------------------------------
#: 2**32 keys are a day and a half of one core; a larger puzzle is a typing error.
MAX_PUZZLE_BITS = 32
#: It is typed, and shown in one line of `status`.
MAX_NETWORK_NAME = 64
MAX_NETWORK_PARAMS = 32
#: Addresses in a join ticket: enough for v4 and v6 of a few interfaces, and one QR code.
MAX_TICKET_ADDRESSES = 8
MAX_TICKET_CHARS = 800
#: Failures of callbacks and root tasks that a loop keeps; the first ones tell most.
MAX_CRASHES_KEPT = 64
