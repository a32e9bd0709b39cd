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
#: Blocks that a name lives without being renewed: 7 days at 15 s.
NAME_LIFE = 40_320
#: CBOR items of a transaction's body: 8, the operations, and at most 4 in each. The decoder counts the contents of
#: every array.
MAX_BODY_ITEMS = 8 + MAX_OPERATIONS + 4 * MAX_OPERATIONS

# --- what is kept --------------------------------------------------------------------------
#: Changes of branch that people may ask about.
MAX_REORGS = 1_000
