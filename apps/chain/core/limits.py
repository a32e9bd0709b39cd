"""Every bound of the chain, with its reason and source. What a stranger sends is measured by these first."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- numbers -------------------------------------------------------------------------------
#: Amounts, nonces, heights and times are below this, so that every JSON reader holds them exactly (RFC 8259 section 6).
MAX_NUMBER = 1 << 53
#: Units of one credit.
CREDIT = 1_000_000
#: An unsigned number of CBOR. At 15 s a block it stands for 10**18 hashes a second.
MAX_DIFFICULTY = (1 << 64) - 1
#: Rounding down, a difficulty below about 29 could never rise: one block adds 3.5 % at most.
MIN_MIN_DIFFICULTY = 256

# --- headers and blocks --------------------------------------------------------------------
#: Ours have at most 156.
MAX_HEADER_BYTES = 200
MAX_EXTRA_BYTES = 16
NONCE_BYTES = 8
#: One hop and the check of 2,000 transactions take well below a second of the 15 between blocks.
MAX_BLOCK_BYTES = 512 * KIB
MAX_BLOCK_TXS = 2_000
#: CBOR of a byte string says its length in so many bytes, at most; what a block has for transactions beside its header.
HEAD_BYTES = 3
ROOM_FOR_TXS = MAX_BLOCK_BYTES - MAX_HEADER_BYTES - 4 * HEAD_BYTES
#: Seconds that the time of a header may be ahead of our clock: clocks of a LAN differ by less.
MAX_AHEAD_S = 30

# --- transactions --------------------------------------------------------------------------
MAX_TX_BYTES = 4 * KIB
MAX_OPERATIONS = 16
MAX_MEMO_BYTES = 32
MAX_TAG_BYTES = 32
MIN_NAME_BYTES = 3
MAX_NAME_BYTES = 32
MAX_VALUE_BYTES = 128
#: What fits into a transaction beside everything else.
MAX_EVIDENCE_BYTES = 3_500
#: Blocks between the first and the last height of a transaction: a day at 15 s.
MAX_WINDOW = 5_760
#: A byte of the chain is kept by everybody for ever: it costs somebody something, however little.
BYTES_PER_UNIT = 64
#: What a name costs beside that, so that nobody takes all of them.
CLAIM_FEE = CREDIT
#: CBOR items of a transaction's body: each has a byte. Too many operations are then an error of their own (X4).
MAX_BODY_ITEMS = MAX_TX_BYTES

#: A change of branch that takes back more blocks than this is an alarm. So a beacon is given once so many blocks stand
#: on its own: before that it may become another one and nobody is told.
DEEP_REORG = 6

# --- what is kept --------------------------------------------------------------------------
#: Transactions of the store, of up to 64 blocks, for which the disk is not waited while a node catches up: a loss of
#: power costs these at most, and they come again from any peer.
MAX_UNSYNCED = 64
#: Blocks that a node which prunes must keep: twice KEPT_BLOCKS, 72 minutes. What takes longer to heal it fetches anew.
MIN_KEPT = 288
#: Heights whose bodies are deleted in one transaction: some 10 ms, so that no block waits for it.
PRUNED_AT_ONCE = 500
#: Pruning waits for so many heights: one transaction in 8 minutes, not one for each block.
PRUNED_TOGETHER = 32
#: Changes of branch that people may ask about.
MAX_REORGS = 1_000
#: CBOR items of what undoes a block: 2,000 transactions touch 17 accounts each at most, with 4 items for each.
MAX_UNDO_ITEMS = 1_000_000

#: A node digests its state at every so many blocks, an hour. With 100,000 accounts and 10,000 names that takes 0.2 s
#: of one core, 0.006 % of the time; below 0.1 % up to 1.8 million accounts.
DIGEST_EVERY = 240

# --- what waits ----------------------------------------------------------------------------
#: Headers whose parent is not known: a peer that is ahead announces one; more of them are found by asking it.
MAX_ORPHANS_PER_SOURCE = 64
MAX_ORPHANS = 1_024
#: With their bodies, of both together: 32 of the largest blocks.
MAX_ORPHAN_BYTES = 16 * MIB
#: Blocks from the future: those of the 30 s behind the 30 s that are allowed are few.
MAX_HELD = 32
#: A branch is kept if it has as much work as the best one had so many blocks ago, at the tip's difficulty.
KEPT_BLOCKS = 144
#: Headers of a branch that is not kept yet and are here at once: 22 days at 15 s. With 450 bytes for each, 57 MiB while
#: a peer is asked. Of more there is a mark of 100 bytes for so many, and they are asked for twice.
MAX_BRANCH = 131_072

# --- transactions that wait ----------------------------------------------------------------
#: What a day's traffic of a LAN is far below; a block holds 2,000.
MAX_POOL_TXS = 5_000
MAX_POOL_BYTES = 8 * MIB
#: Of one account, one after another.
MAX_POOL_PER_ACCOUNT = 64
#: Behind a nonce that is missing: so far ahead, and so many of all accounts.
MAX_NONCE_AHEAD = 16
MAX_POOL_GAPS = 1_000
#: A transaction in place of another one pays a quarter and a unit more: each change costs everybody a broadcast.
REPLACE_NUMERATOR, REPLACE_DENOMINATOR = 5, 4
#: The fee that a full pool asks for falls by half in this time.
FLOOR_HALF_LIFE_S = 600

# --- what is asked for and proved ----------------------------------------------------------
#: 75 kB: a stream's first chunk, and a fifth of a second of checks with scrypt.
HEADERS_PER_MESSAGE = 500
#: Steps of a locator double, so that 64 of them reach farther back than any chain is long.
MAX_LOCATOR = 64
#: Of a transaction of a compact block: 8 bytes of a hash that is keyed by the block.
SHORT_ID_BYTES = 8
#: Of a compact block: header, short ids, and the heads of CBOR.
MAX_COMPACT_BYTES = 1 + HEAD_BYTES + MAX_HEADER_BYTES + HEAD_BYTES + SHORT_ID_BYTES * MAX_BLOCK_TXS
#: A proof with the headers of half a million blocks: 3 months at 15 s.
MAX_PROOF_BYTES = 80 * MIB
MAX_PROOF_ITEMS = 1_000_000

# --- between peers -------------------------------------------------------------------------
#: Bytes of one message of a stream; what does not fit goes in parts (overlay.limits.MAX_STREAM_MESSAGE is 257 KiB).
MAX_PART = 240 * KIB
#: Bodies asked of one peer at once, and of all: 32 MiB of the largest blocks.
MAX_BODIES_PER_PEER = 16
MAX_BODIES = 64
#: Until an answer comes; then another peer is asked.
ANSWER_S = 20
#: ... and so much longer for each message of headers (75 kB) or body of several that came meanwhile; bodies are paid
#: for at this rate as well: the largest takes 32 s.
EACH_ANSWER_S = 1
LEAST_BYTES_A_S = 16 * KIB
#: Blocks of one transaction of the store while far from the tip.
MAX_CONNECTED_AT_ONCE = 64
#: Peers whose tips are compared before it is decided whom to follow.
COMPARED_TIPS = 3
#: Of those who gave good blocks lately, how many are told of a new tip, and as many of those who tell us: a datagram
#: each, and its answer.
HERALDED = 4
#: Peers that are remembered: more are found when these are silent.
MAX_PEERS = 64
#: Below so many that answer others are looked for.
FEW_PEERS = 8
#: Streams of one peer's copy that are answered at once, and of all: a sync needs one.
MAX_SERVED_PER_PEER = 2
MAX_SERVED = 64
#: Peers with whom nothing is exchanged any more, and for how long.
MAX_BARRED = 1_024
BARRED_S = 3_600
#: Invalid transactions a minute that one author may publish before none of his are looked at, and for how long.
MAX_INVALID_TXS_PER_MINUTE = 100
DEAF_S = 600
MAX_METERED_AUTHORS = 1_024
#: Compact blocks whose missing transactions are being asked for.
MAX_PARTIAL = 16
#: ... and those that came before their parent or their time: 2 MiB with 2,000 transactions each.
MAX_EARLY = 128
#: Own transactions that are not in a block yet and are published again now and then.
MAX_OWN_TXS = 1_000
#: Transactions of one message of a topic: as many of the least size as 1 MiB holds.
MAX_PUBLISHED_TXS = 8_192
#: Signatures that are checked where the block is connected; more go to two threads first.
FEW_SIGNATURES = 32

# --- mining --------------------------------------------------------------------------------
#: A miner is given what waits now, and the time, so often.
REFRESH_S = 5
#: Who mines on demand does so also when the last block is so old: the chain is a clock.
IDLE_MINING_S = 600
#: A worker that asks for other work is answered after this, though there is none.
WORK_S = 30
