"""Every bound of the disk side, with its reason."""

from __future__ import annotations

from apps.files.core.limits import KIB, MIB

#: Descriptors of shared and downloaded files that are kept open: the usual limit of a process is 1,024, and a node
#: needs them for its streams.
MAX_OPEN_FILES = 128
#: Threads that hash one share: one reads while the other hashes. Leaves of 16 KiB are too small for Python to hash
#: many at once: with 1, 2 and 4 threads 512 MiB took 0.36, 0.44 and 0.38 s on two busy cores.
HASHERS = 2
#: Read and hashed in one go: a hop to a thread costs 90-150 us, hashing this 3 ms.
JOB_BYTES = 4 * MIB
JOB_FILES = 256
#: Hashes of units that are read at once where all of a file are looked at.
NODES_AT_ONCE = 4_096
#: Left free on a disk by a download: a machine whose disk is full to the last byte does not work.
MARGIN_BYTES = 64 * MIB
#: Free space is looked at again after so many bytes.
ROOM_BYTES = 16 * MIB
#: What was written is made safe, and noted as such, after so many bytes or seconds, whichever comes first.
CHECKPOINT_BYTES = 256 * MIB
CHECKPOINT_S = 30
#: More files than this are made safe by one syncfs(2), not by an fsync(2) each, which takes milliseconds.
MAX_SINGLE_SYNCS = 32
#: Names tried for what is called like something that is there: "name (1)", "name (2)" ...
MAX_NEW_NAMES = 1_000
#: Things told of one share: what was left out, what is withdrawn.
MAX_NOTES = 100
#: A note has a path of at most 4,096 bytes in it, and is kept with the share.
MAX_NOTES_BYTES = MAX_NOTES * 8 * KIB
#: Of a record, beside its bits and stamps.
MAX_RECORD_EXTRA = 64 * KIB
#: Local service discovery looks at interfaces and shares this often; what has an earlier turn waits for it.
LSD_ROUND_S = 10.0
#: Links that an announce passes: it is for this network, and where routers pass multicast on, so does BEP 14 allow to.
LSD_HOPS = 1
#: Interfaces, each family of one counted: a socket each.
MAX_LSD_INTERFACES = 16
#: Announces of one interface that are looked at in a second: an honest client sends one a minute. 100 take 4 ms.
LSD_HEARD_PER_S = 100
#: Findings that are being told; further ones are left to their next announce.
MAX_LSD_FINDING = 16
