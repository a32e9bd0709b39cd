"""One check per sort of item in a body: it returns the value, or raises BadMessage."""

from __future__ import annotations

from typing import Any

from overlay.errors import BadMessage
from overlay.limits import MAX_APP_NAME, MAX_RECORD, MAX_RECORD_TTL_MS, MAX_VALUE
from overlay.wire.envelope import TOKEN_BYTES
from overlay.wire.registry import AppStatus, RecordType, Role, StoreStatus

KEY_BYTES = 32
CURSOR_BYTES = 8
#: ip and port: IPv4, IPv6.
ADDRESS_BYTES = (6, 18)
MAX_TTL_S = MAX_RECORD_TTL_MS // 1000


def raw(value: Any, *, most: int = 1 << 16) -> bytes:
    if type(value) is not bytes or len(value) > most:
        raise BadMessage(f"expected at most {most} bytes")
    return value


def token(value: Any) -> bytes:
    return _exactly(value, TOKEN_BYTES, "a token")


def key(value: Any) -> bytes:
    return _exactly(value, KEY_BYTES, "a key or target")


def cursor(value: Any) -> bytes | None:
    return None if value is None else _exactly(value, CURSOR_BYTES, "a cursor")


def address(value: Any) -> bytes:
    if type(value) is not bytes or len(value) not in ADDRESS_BYTES:
        raise BadMessage("a packed address has 6 or 18 bytes")
    return value


def inner(value: Any) -> bytes:
    """A signed object; what is in it, records.decode_* say."""
    return raw(value, most=MAX_RECORD)


def record(kind: RecordType, value: Any) -> bytes:
    return raw(value, most=MAX_VALUE if kind is RecordType.BLOB else MAX_RECORD)


def between(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadMessage(f"expected a number from {least} to {most}")
    return value


def ttl_s(value: Any) -> int:
    return between(value, 0, MAX_TTL_S)


def optional_uint(value: Any) -> int | None:
    return None if value is None else between(value, 0, (1 << 64) - 1)


def role(value: Any) -> Role:
    return Role(between(value, 0, len(Role) - 1))


def record_type(value: Any) -> RecordType:
    return RecordType(between(value, 1, len(RecordType)))


def store_status(value: Any) -> StoreStatus:
    return StoreStatus(between(value, 0, len(StoreStatus) - 1))


def app_status(value: Any) -> AppStatus:
    return AppStatus(between(value, 0, len(AppStatus) - 1))


def app_name(value: Any) -> str:
    if type(value) is not str or not 1 <= len(value.encode()) <= MAX_APP_NAME:
        raise BadMessage(f"the name of an application has 1 to {MAX_APP_NAME} bytes")
    return value


def padding(body: list[Any], at: int) -> bytes | None:
    """Padding is the last item that this version knows, and may be missing."""
    return raw(body[at]) if len(body) > at else None


def _exactly(value: Any, size: int, what: str) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise BadMessage(f"{what} has {size} bytes")
    return value
