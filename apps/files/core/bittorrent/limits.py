"""Bounds of connections with clients of BitTorrent, with their reasons and sources. See apps.files.core.limits."""

from __future__ import annotations

from apps.files.core.limits import KIB, LEAF_BYTES, MAX_UNITS, MAX_WINDOW_BYTES, MIB, UNIT_BYTES

#: A block: what all clients ask for (BEP 3). The longest that is answered: most clients drop whoever asks for more.
BLOCK_BYTES = LEAF_BYTES
MAX_BLOCK_BYTES = 128 * KIB
#: Blocks that one peer may have asked for and not got (`reqq` of BEP 10): 8 MB. libtorrent 2 allows 2,000.
MAX_BLOCKS_ASKED = 500
#: Blocks asked of one peer that did not say how many it takes: libtorrent's default of `reqq`, and at most.
BLOCKS_ASKED = 250
MAX_BLOCKS_OUT = 500
#: Units from which one peer is given blocks and that are kept for the blocks it has not asked for yet.
MAX_KEPT_UNITS = 4
#: Zeros behind a file that are given before its unit is asked for, and so waits for the limit of upload, again: a pad
#: may be as long as a piece, 256 MiB, and costs nothing to ask for.
MAX_PAD_BYTES = UNIT_BYTES
#: Bytes of blocks that may still come after they were cancelled, or refused by a choke: twice the window.
MAX_STRAY_BYTES = 2 * MAX_WINDOW_BYTES
#: A bit field of as many pieces as a share may have units.
MAX_BITFIELD_BYTES = MAX_UNITS // 8
#: Bytes that a client may say of its pieces before it is known what a piece is: the bits of 262,144 pieces, 16 times as
#: many as `piece_length_for` aims at. What is longer, all connections together may keep so much of.
MAX_EARLY_BYTES = 32 * KIB
MAX_EARLY_POOL = 8 * MIB
#: Parts of the info dictionary (BEP 9), and those that one peer may wait for.
METADATA_PART_BYTES = 16 * KIB
MAX_PARTS_ASKED = 64
#: Messages, and bytes, that wait for a session or for a connection; from here on nothing more is read.
MAX_TRANSLATED = 256
MAX_TRANSLATED_BYTES = 4 * MIB
#: Bytes given to a connection at once: a unit in blocks, each with its head; what overlay.limits allows.
SEND_BYTES = UNIT_BYTES + KIB
#: Connections in all and with one address; libtorrent takes 200, and one of an address, but hosts share addresses.
MAX_CONNECTIONS = 128
MAX_CONNECTIONS_PER_ADDRESS = 4
#: The 68 bytes of the handshake, from its first one; libtorrent 10 s.
HANDSHAKE_S = 10
#: BEP 3: keep-alives every two minutes. Who says nothing for three is gone.
KEEP_ALIVE_S = 110
IDLE_S = 180
#: When there is no room, a connection of this age on which neither side wants anything makes some.
USELESS_S = 60
#: Peers of one address and one share that were dropped for what they sent; then the address is, for that share.
MAX_BANNED_OF_ADDRESS = 3
MAX_BANNED_ADDRESSES = 1_024
