"""Every bound of the chain's disk, with its reason."""

from __future__ import annotations

from apps.chain.core.limits import KIB, MIB

#: Of the database that sqlite3 keeps in memory: at 100,000 blocks the inner pages of its indexes and the newest leaves.
CACHE_KIB = 16 * MIB // KIB
#: The log is moved into the file when it has so many pages of 4 KiB, and keeps its place on the disk.
CHECKPOINT_PAGES = 4_000
WAL_KEPT_BYTES = 16 * MIB
#: Keys of one SELECT. Lists are filled up to powers of two, so that few statements are prepared.
MAX_IN_LIST = 512
#: Prepared statements that a connection keeps; there are about 60, and 10 lengths of each list.
STATEMENTS = 256
#: Rows of a whole table that are read at once.
ROWS_AT_ONCE = 1_024
#: A connection waits so long for another process that makes or ends the log; both take milliseconds.
BUSY_S = 5.0
