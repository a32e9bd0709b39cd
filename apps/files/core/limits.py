"""Every bound of file sharing, with its reason and source. What a stranger sends is measured by these first."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- trees ---------------------------------------------------------------------------------
#: A leaf of the hash tree: BEP 52.
LEAF_BYTES = 16 * KIB
#: Unit of transfer, verification and storage: the size at which one core moves most (docs/files.md).
UNIT_BYTES = 256 * KIB
#: Smallest piece: BEP 52. Largest: what qBittorrent 5 offers; a file's root does not depend on it.
MIN_PIECE_BYTES = LEAF_BYTES
MAX_PIECE_BYTES = 256 * MIB
#: Pieces that `piece_length_for` aims at: their hashes, 512 KiB, are asked for in 32 requests of BEP 52.
PIECES_AIMED_AT = 16_384
#: Hashes of one hash request that are answered: libtorrent asks for 512.
MAX_HASHES_ASKED = 8_192

# --- info dictionaries ---------------------------------------------------------------------
#: In the wild the median is 17 KB and the largest honest one of 6,498 had 4.2 MB; two peers claimed 2.0 GB
#: (magnetico issue 58).
MAX_INFO_BYTES = 16 * MIB
#: With its piece layers: 16 MiB hold those of 128 GiB in pieces of 256 KiB.
MAX_TORRENT_BYTES = 64 * MIB
MAX_FILES = 1_000_000
#: Folders around a file; deeper trees exist to exhaust the stack of whoever reads them.
MAX_DEPTH = 32
#: Bytes of one name and of one path as they came, before they are made safe. Linux: NAME_MAX 255, PATH_MAX 4096.
MAX_RAW_NAME = 4_096
MAX_RAW_PATH = 4_096
#: off_t is signed, and so are the lengths of libtorrent.
MAX_FILE_BYTES = 2**63 - 1
#: Units of one share: 1 TiB. A list of three numbers for each is what a download costs in memory at least.
MAX_UNITS = 4_194_304
#: Values of bencode in one info dictionary or .torrent; a file needs 8 of them, a hybrid one 22.
MAX_INFO_ITEMS = 4_000_000
#: Two levels around the tree, and two in each file.
MAX_INFO_DEPTH = MAX_DEPTH + 6
#: Messages of BitTorrent's extensions (BEP 9, 10) are small.
MAX_BENCODE_BYTES = 64 * KIB
MAX_BENCODE_ITEMS = 4_096
MAX_BENCODE_DEPTH = 8

# --- names and links -----------------------------------------------------------------------
#: ext4, NTFS, APFS: 255 bytes or 255 UTF-16 units; bytes of UTF-8 are never fewer.
MAX_NAME = 255
MAX_LINK_CHARS = 16_384
#: Parameters of a link that are looked at, and those of one sort that are kept.
MAX_LINK_PARAMETERS = 256
MAX_LINK_PEERS = 16
MAX_LINK_HINTS = 8
#: Addresses of its own that a node puts into a link: the farthest reaching ones. Each makes it 80 characters longer.
LINK_ADDRESSES = 4
#: Bytes of the name in a link: a longer one is cut, it is for display only.
MAX_LINK_NAME = 255
#: Patterns of one selection, and characters of each.
MAX_PATTERNS = 256
MAX_PATTERN_CHARS = 1_024

# --- picking -------------------------------------------------------------------------------
#: Units picked at random before rarity counts, so that there soon is something to give (Cohen 2003, 2.4.2;
#: libtorrent initial_picker_threshold 4).
RANDOM_FIRST = 4
#: Peers of one download whose units are counted.
MAX_SOURCES = 200
#: At the end: peers asked for the same unit at once, and units that one peer is asked for a second time at once.
#: More of either is waste.
ENDGAME_COPIES = 3
ENDGAME_UNITS = 4

#: No more copies are asked for once so much came twice: two units, and a 64th of what came. Where all wait for what one
#: seed gives, there is nothing new to ask for again and again, long before the end.
REPEATED_PART = 64
REPEATED_BYTES = 2 * UNIT_BYTES

# --- slots ---------------------------------------------------------------------------------
#: Seconds between two rounds, and between two choices of the optimistic slot (Cohen 2003, 3.2 and 3.3; BEP 3).
CHOKE_ROUND_S = 10
OPTIMISTIC_S = 30
#: Nothing of what was asked came for so long: snubbed (Cohen 2003, 3.4).
SNUB_S = 60
#: Slots if the upload has no limit: four that are earned and an optimistic one (BEP 3, "Choking and optimistic
#: unchoking"). On a slow line each more makes a unit later for everybody: it can be passed on once all of it is there.
DEFAULT_SLOTS = 5
MIN_SLOTS = 3
MAX_SLOTS = 64
#: A unit should not take longer than this in one slot, if the upload has a limit.
SLOT_UNIT_S = 4
#: Who is new stands three times in the lottery for the optimistic slot, and so does who is owed something ...
NEWCOMER_TICKETS = 3
#: ... it is new for this long (BEP 3: "new connections are three times as likely").
NEWCOMER_S = 60
#: What a stranger is given while it gives nothing: of who holds hardly anything (RANDOM_FIRST) nothing can be expected
#: yet, and what comes to it takes a while to be passed on. A free rider gets the second of each peer, and the first
#: if it hides what it has.
NEWCOMER_GIFT_BYTES = 4 * UNIT_BYTES
GIFT_BYTES = UNIT_BYTES
#: How long one that earned no slot keeps it, if others wait: on a slow line a unit takes some seconds. libtorrent's
#: seeds give turns of a minute.
TURN_S = 30
#: A first copy that is not there after so long, or is there for so long and nobody else has it, goes to anybody.
FIRST_COPY_S = 30
PASS_ON_S = 10
#: First copies that a newcomer may owe, before others need not wait for it: those that come while one is passed on, a
#: few times as long as it took to come. More with each that it passed on, up to what is under way to a good peer.
FIRST_BYTES = 4 * UNIT_BYTES
MAX_FIRST_BYTES = 16 * UNIT_BYTES

# --- rates and windows ---------------------------------------------------------------------
#: Asked of one peer and not yet come: at most this, whatever it promises.
MAX_WINDOW_BYTES = 4 * MIB
#: ... and at least this, so that one unit travels while the next is being sent.
MIN_WINDOW_BYTES = 2 * UNIT_BYTES
#: Bounds of the time that a request may take before it is asked of somebody else.
MIN_DEADLINE_S = 5
MAX_DEADLINE_S = SNUB_S

#: A unit is given to the stream when so much is left of those before, in the time in which it leaves: on a slow line
#: a MiB in a buffer is half a minute in which nothing can be cancelled and what is asked waits. A quarter of a second
#: spans what a busy machine needs to come back; the bounds are a quarter of a unit, and what a stream takes at all.
AHEAD_MS = 250
MIN_AHEAD_BYTES = UNIT_BYTES // 4
MAX_AHEAD_BYTES = MIB

# --- messages of "/files/1" ----------------------------------------------------------------
#: Bytes of any message but PIECE, and items of its CBOR: what overlay.limits allows to one message of a stream.
MAX_CONTROL_MESSAGE = UNIT_BYTES + KIB
MAX_CONTROL_ITEMS = 1_200
MAX_CHANNEL = 65_535
MAX_REASON = 100
#: An info dictionary of 16 MiB is 256 parts.
INFO_PART_BYTES = 64 * KIB
#: Parts asked for before the first has come: 512 KiB.
INFO_PARTS_AHEAD = 8
#: Bytes a second of it that one peer must give in all, after ANSWER_S: a line of 128 kbit/s. Below the second rate
#: another one is asked as well, after INFO_SOON_S, so many in all, who together claim at most twice the largest: what
#: comes twice is in vain.
LEAST_INFO_RATE = 16 * KIB
INFO_RATE = 64 * KIB
INFO_SOON_S = 2
MAX_INFO_ASKED = 4
#: Times that one peer is asked for an info dictionary and does not give it, 2, 8, 32 and 128 seconds apart; then it is
#: done with for the share. libtorrent pauses for a minute after a refusal.
MAX_INFO_TRIES = 5
#: Bits of units in one message: 2,097,152 units.
MAX_HOLD_BYTES = UNIT_BYTES
#: Units in one HAVE, ranges in one request, peers in one PEERS: each far below what the items allow.
MAX_HAVE_UNITS = 512
MAX_RUNS = 256
MAX_PEERS_TOLD = 50
#: Hashes of one answer: 128 KiB, the units of 1 GiB.
HASHES_PER_MESSAGE = 4_096
#: Trees of one share that are kept in memory: 64 bytes for each unit, so of 128 GiB. Those of files of which units are
#: on their way stay, whatever they take: that of one file of 1 TiB has 256 MiB.
MAX_TREE_BYTES = 32 * MIB

#: Layers of hashes that are read from the disk for one peer: reading one and making its tree costs 17 ms of a thread a
#: MiB, so this rate is a fourteenth of one. At once the layers of 256 GiB.
LAYER_BYTES_PER_S = 4 * MIB
LAYER_BURST_BYTES = 32 * MIB
#: The disk could not be read at this moment, as when there are no descriptors: the peer is told so much later that what
#: it asked for is still here.
READ_AGAIN_S = 5

# --- headers of units ----------------------------------------------------------------------
#: A header with the largest numbers that its items can have: 109 of COSE, 3 of a head, 88 of CBOR.
MAX_HEADER = 200
#: Shorter units have none: for folders of small files signing would cost more than all the rest (docs/files.md).
MIN_SIGNED_BYTES = LEAF_BYTES
#: Headers that are kept to be sent again: those of 1 GiB, in 3 MiB of memory.
MAX_HEADERS_KEPT = 4_096
#: Of so many good units the header of one is checked: a whole check costs 55 us, verifying a unit 170 us.
SPOT_CHECKS = 64
#: Proof of a false header (design of trust: at most 4 KiB). The tallest tree needs 1.9 kB.
MAX_EVIDENCE = 4 * KIB
#: Peers that signed a false header: so long, and so many; with their proofs 2 MB.
BAN_S = 24 * 3600
MAX_BANS = 1_024

# --- sessions ------------------------------------------------------------------------------
#: Shares open between two peers.
MAX_CHANNELS = 64
#: Peers that exchange files with this one at once: to which it opened the stream, and which did. On the
#: average a node opens as many as it takes, and the streams of 512 are half of those that a node has at all.
MAX_OWN_SESSIONS = 256
MAX_THEIR_SESSIONS = 256
#: ... of these with one address: behind one of a household or a school more than that hardly fetch at once.
MAX_SESSIONS_PER_ADDRESS = 32
#: Units that one peer may have asked for and not got; further ones are rejected. Small files are units, too.
MAX_ASKED_UNITS = 1_024
#: Answers that wait for their turn; from here on the peer is not read until half of them are gone.
MAX_QUEUED_ANSWERS = 256
#: Peers that a share deals no more with: they sent corrupt units.
MAX_BANNED = 1_024
#: Peers of one share that are counted as having given something; of more it is not known how many.
MAX_GIVERS = 1_024
#: Units that are read from the disk, or verified and written, at once: a hop to a thread costs 90-150 us.
BATCH_BYTES = MIB
BATCH_UNITS = 64
#: What came waits so long for more, so that it is written together.
GATHER_MS = 5
#: HAVE of units that were told before, at once and a second, until it is called a flood.
MAX_IDLE_HAVES = 4_096
IDLE_HAVES_PER_S = 1
#: Channels that a peer may open for one share, at once and a second: who lost one tries again after 2, 8, 32 s.
MAX_OPENS = 16
OPENS_PER_S = 1
#: Peers of one share of which such things are known, and stay known when they go.
MAX_CONDUCTS = 1_024
#: Bytes that are read for a peer which has cancelled them when they are there, at once and a second; then it waits. At
#: the end of a download a window of what was asked for may be cancelled at once.
MAX_VAIN_BYTES = 2 * MAX_WINDOW_BYTES
VAIN_BYTES_PER_S = MIB
#: Bytes of what all peers of one share say that they have before it is known here what a unit is: the bits of 200 peers
#: for a share of 80 GiB, or of 16 for the largest.
MAX_EARLY_BYTES = 8 * MIB
#: Answers to withdrawn requests that are remembered as such, so that nobody is blamed for them.
MAX_WITHDRAWN = 2 * MAX_ASKED_UNITS
#: Units that came and wait to be verified and written; nothing more is asked until they are.
MAX_UNWRITTEN_BYTES = 16 * MIB
#: Corrupt units after which a peer without a key (BitTorrent) is done with for a share: one may be a broken disk.
MAX_CORRUPT = 2
#: Slots are given anew at most this often when interest changes.
SOON_MS = 100
#: Chokes and their ends of one peer, at once and a second, until it is called a flood: each end has requests follow it.
#: Who gives its slots anew as often as SOON_MS allows says no more.
MAX_CHOKES = 256
CHOKES_PER_S = 2 * 1_000 // SOON_MS
#: HAVE is told this often.
TELL_MS = 100

#: What a limit lets pass at once after silence.
BURST_BYTES = UNIT_BYTES
#: At the end a unit is asked of another peer, too, if that saves so much; and if a peer of which no rate is known is
#: silent for so long.
LATE_S = 2
LATE_AT_FIRST_S = 10
#: Questions for hashes of one share at once.
MAX_HASH_QUESTIONS = 256
#: A question for hashes is asked of another peer as well after so long, and of so many at once: an answer has 128 KiB
#: at most, and without it nothing that came can be looked at. Who was silent before has no longer to answer.
HASHES_SOON_S = 2
HASHES_ASKED = 5
#: Calls of the disk to verify and write at once, of one share.
WRITERS = 2
#: An answer with hashes, or with a part of the info dictionary, may take so long.
ANSWER_S = 10

# --- finding peers -------------------------------------------------------------------------
#: Peers of one share that this node looks for; others may still come, up to MAX_SOURCES.
WANTED_PEERS = 30
#: Channels of one share that this node opened, and that others did: neither takes places of the other.
MAX_OUR_CHANNELS = WANTED_PEERS
MAX_THEIR_CHANNELS = MAX_SOURCES - MAX_OUR_CHANNELS
#: Who has been there for so long, and of whom neither side wants anything, makes room for another; so does who would
#: give or take something and has not for the longer time: ten choices of the optimistic slot. Of such a peer nothing is
#: expected, and others are looked for.
USELESS_S = 60
SILENT_S = 300
#: Addresses of one share that are known and not tried yet; dials of one share at once.
MAX_CANDIDATES = 256
#: ... of those as many are named by peers, MAX_PEERS_TOLD by one of them: the link, the LAN and the DHT have the rest.
MAX_TOLD_CANDIDATES = MAX_CANDIDATES // 2
#: Peers that could not be reached and are named to a person, with the reason.
SILENT_TOLD = 4
MAX_SHARE_DIALS = 4
#: A peer that went, could not be reached, or had nothing, is tried again after this, for two that open streams to each
#: other at once lose one of them; then after four times as long, each time: who starts again is there within seconds.
FIRST_RETRY_S = 2
MAX_RETRY_PEER_S = 1_800
#: One that could not be reached and answers the DHT again is tried at once, so often in a row in vain: it could come
#: and go all the time, and use up our dials.
MAX_RETURNS = 8
#: The DHT is asked again after this while peers are missing, doubled each time, and after the second otherwise. Who has
#: just shared something is announced a second later.
LOOK_AGAIN_S = 2
MAX_LOOK_AGAIN_S = 900
#: Peers on the LAN that are asked at once whether they have a share, before the DHT is, and as often; how long they
#: have to answer; and shares for which that is done at once: a start with thousands of downloads is no flood.
MAX_NEIGHBOURS_ASKED = 8
NEIGHBOUR_S = 2
MAX_NEAR_ROUNDS = 4
#: Peer exchange: told at most this often to one peer, and believed as often (BEP 11: once a minute).
PEX_S = 60
#: Provider records are published for shares of which something is here.
MAX_SHARES = 10_000
#: Scans and checks of what is there, at once; others wait. Two of the four threads of a node are left for reading and
#: writing, however much there is to hash.
MAX_HASHING = 2
#: Whether the files of a share are still there is looked at so often, and for 1/50 of the time at most: a file costs
#: 10 us. With MAX_SHARES that is a look every 6 ms.
WATCH_S = 60
WATCH_PAUSES = 50
#: Shares whose info dictionaries are read at once: at a start it is all of them, and a node refuses more than 1,024
#: operations at a time.
MAX_LOOKING = 16

# --- local service discovery (BEP 14) ------------------------------------------------------
#: BEP 14: longer ones would be fragments.
MAX_LSD_BYTES = 1_400
#: As many as fit with the group of IPv6, a port and a cookie: 52 bytes each.
MAX_LSD_HASHES = 24
#: Headers of an announce that are looked at: all that fit, but for a flood of empty ones.
MAX_LSD_HEADERS = 64
#: Letters of a cookie; those of libtorrent have 8.
MAX_LSD_COOKIE = 32
#: BEP 14: no more than one announce a minute, and each hash every five minutes.
LSD_AGAIN_S = 60
LSD_EVERY_S = 300
#: Somebody is not found anew for the same hash within this, however often it is announced ...
LSD_FOUND_AGAIN_S = 60
#: ... and so many are found in a minute, whoever they are: anybody may announce in the names of others.
LSD_FOUND_PER_MINUTE = 120
MAX_LSD_HEARD = 1_024

# --- search --------------------------------------------------------------------------------
#: Tags of one share, and bytes of one: ten letters of three bytes. With a name of 255 bytes all fit into a posting.
MAX_TAGS = 10
MAX_TAG_BYTES = 32
#: A signed posting: with the reply around it one datagram (MAX_APP_BODY of overlay.limits).
MAX_POSTING = 800
#: A posting and the announcement of a word live so long and are renewed after half of it, so both survive one failed
#: renewal, and clocks an hour apart, as those of gossip may be.
LEASE_S = 7_200
#: Nobody believes a longer lease: it could not be told from one without an end.
MAX_LEASE_S = 2 * LEASE_S
#: A node that knows nobody who could hold its words looks again after this.
REANNOUNCE_S = 5
#: Bytes of one word: longer ones are found by what they begin with. As many words as are asked for at once then
#: fit into a datagram.
MAX_TERM_BYTES = 48
MAX_ASKED_TERMS = 16
MAX_QUERY_CHARS = 512
#: Words under which one share is announced, and one node with all its shares: a lookup and 20 stores each, every hour.
#: With all of them that is a request each 60 ms.
MAX_SHARE_TERMS = 24
MAX_TERMS = 1_024
#: Words that are announced at once.
ANNOUNCERS = 2
#: Words of one search that are looked up; the others count when postings are compared with it.
MAX_LOOKED_UP = 4
#: Providers of one word of several that are collected, twice what one holder keeps, and peers that are asked for
#: postings.
MAX_TERM_PROVIDERS = 128
#: A word with fewer providers is known with all of them: a holder keeps 64 (MAX_PROVIDERS_PER_KEY of overlay.limits).
MAX_SURELY_ALL = 48
MAX_PEERS_ASKED = 64
#: ... of these in one subnet of the internet, however many keys answer there, and postings taken from it.
MAX_PEERS_PER_PLACE = 4
MAX_POSTINGS_PER_PLACE = 40
#: Questions of one search under way at once.
ASKED_AT_ONCE = 16
#: Postings that one peer may give to one search, and so at most as many questions for them: a datagram holds one at
#: worst, most hold three.
MAX_POSTINGS_PER_PEER = 20
#: Shares that a search lists at most.
MAX_RESULTS = 200
#: Shares among which one that is asked picks those which have all words: a question must not cost more than that.
MAX_MATCHES_LOOKED_AT = 1_024
#: Results whose seeds are looked for beyond those that answered, providers of each, and peers that are asked for it.
MAX_SEED_LOOKUPS = 10
MAX_SEEDS_LOOKED_UP = 16
MAX_HOLDERS_ASKED = 48
#: Shares in one question whether they are held: 34 bytes each.
MAX_HOLDS = 20
#: Searches of this node at once; a person waits for one.
MAX_SEARCHES = 8
DEFAULT_SEARCH_S = 8
MAX_SEARCH_S = 60
