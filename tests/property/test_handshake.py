"""A handshake of which anything was changed on its way never ends well on both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage, LocalError, RemoteError
from overlay.secure.noise import Suite
from tests.unit.test_handshake import PRIVATE, REALM, Meeting

NETWORKS = {"public": REALM, "private": PRIVATE}


@pytest.mark.parametrize("name", NETWORKS)
@given(
    suite=st.sampled_from(Suite), message=st.integers(0, 2), at=st.integers(0, 300), mask=st.integers(1, 255),
    how=st.sampled_from(["flip", "cut", "double", "append"]),
)  # fmt: skip
def test_a_changed_byte_ends_it(name: str, suite: Suite, message: int, at: int, mask: int, how: str) -> None:
    good = Meeting(NETWORKS[name], suite=suite)
    good.run()
    data = good.sent[message]
    at %= len(data)
    changed = {
        "flip": data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :],
        "cut": data[:at] + data[at + 1 :],
        "double": data[: at + 1] + data[at:],
        "append": data + bytes((mask,)),
    }[how]
    if changed == data:
        return
    with pytest.raises((BadMessage, RemoteError)):
        Meeting(NETWORKS[name], suite=suite).run(change={message: changed})


@given(first=st.binary(max_size=60), second=st.binary(max_size=300))
def test_whatever_comes_is_a_bad_message(first: bytes, second: bytes) -> None:
    for change in ({0: first}, {1: second}, {2: second}):
        try:
            Meeting().run(change=change)
        except BadMessage:
            continue
        except LocalError as error:
            raise AssertionError("bytes of a stranger are never our own fault") from error
        raise AssertionError("these bytes are no handshake")
