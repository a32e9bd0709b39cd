"""How much memory a process came to use, of what is resident (proc(5))."""

from __future__ import annotations

from pathlib import Path

import attrs


def resident_kib(pid: int, field: str) -> int:
    """`field`: VmRSS now, VmHWM at its highest."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise AssertionError(f"no {field} of process {pid}")


def reset_peak(pid: int) -> None:
    """VmHWM begins anew at what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@attrs.frozen(slots=True)
class Memory:
    pid: int
    idle_kib: int

    @classmethod
    def of(cls, pid: int) -> Memory:
        """From this moment on."""
        reset_peak(pid)
        return cls(pid, resident_kib(pid, "VmRSS"))

    @property
    def more_mb(self) -> int:
        """At its highest, above what it was at first."""
        return (resident_kib(self.pid, "VmHWM") - self.idle_kib) * 1024 // 1_000_000
