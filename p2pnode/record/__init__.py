"""Recordings: every input of a running node in a file, fed later to a fresh core that must do the same, to the byte.

`begin` wraps what a node gives to its core; `replay` feeds a recording. The format is docs/simulator.md,
"Recording a real node". A recording holds the key of the node and of its network.
"""

from __future__ import annotations

from p2pnode.record.recorder import DEFAULT_LIMIT, Recorder, Wanted, begin
from p2pnode.record.replay import Difference, Replay, Verdict, replay
from p2pnode.record.tape import NotARecording, RecordingError

__all__ = [
    "DEFAULT_LIMIT", "Difference", "NotARecording", "Recorder", "RecordingError", "Replay", "Verdict", "Wanted",
    "begin", "replay",
]  # fmt: skip
