"""How the kernel says that a connection is over, in the words of the core."""

from __future__ import annotations

import errno

from overlay.runtime.ports import StreamEnd

_ENDS = {
    errno.ECONNREFUSED: StreamEnd.REFUSED,
    errno.ETIMEDOUT: StreamEnd.TIMED_OUT,
    errno.EHOSTUNREACH: StreamEnd.UNREACHABLE,
    errno.ENETUNREACH: StreamEnd.UNREACHABLE,
    errno.EHOSTDOWN: StreamEnd.UNREACHABLE,
    errno.EADDRNOTAVAIL: StreamEnd.UNREACHABLE,
    errno.EAFNOSUPPORT: StreamEnd.UNREACHABLE,
    errno.EACCES: StreamEnd.UNREACHABLE,
    errno.EPERM: StreamEnd.UNREACHABLE,
    errno.EINVAL: StreamEnd.UNREACHABLE,
    errno.EMFILE: StreamEnd.FULL,
    errno.ENFILE: StreamEnd.FULL,
    errno.ENOBUFS: StreamEnd.FULL,
    errno.ENOMEM: StreamEnd.FULL,
}


def end_of(error: OSError) -> StreamEnd:
    return _ENDS.get(error.errno or 0, StreamEnd.RESET)
