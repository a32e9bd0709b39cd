"""The files that a run leaves: report, picture, trace. What can be wrong with them is said before the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from p2pnode.ui.fail import fail
from p2pnode.ui.render import say
from p2pnode.ui.targets import check_output, check_picture

if TYPE_CHECKING:
    from simulations.report.recorder import Recorder
    from simulations.swarm import Swarm
    from simulations.trace import TraceFile


@attrs.frozen(slots=True)
class Outputs:
    report: Path | None
    png: Path | None
    trace: Path | None = None

    def check(self, *read: Path) -> None:
        """Fail now and not after an hour: a folder that is not there, a library that is missing, a file that was
        `read` and would be lost."""
        paths = [path for path in (self.report, self.png, self.trace) if path is not None]
        for i, path in enumerate(paths):
            check_output(path)
            check_kept(path, *read)
            if any(_same(path, other) for other in paths[:i]):
                fail("two outputs of one run cannot go into the same file", code="usage", file=str(path))
        if self.png is not None:
            check_picture(self.png, instead="--report FILE.html needs nothing")

    @contextmanager
    def recording(self, swarm: Swarm, header: Mapping[str, Any]) -> Iterator[Recording]:
        """Watches the run; call `finish` after it. Without outputs it does nothing."""
        with ExitStack() as stack, writing():
            recorder, trace = None, None
            if self.report or self.png or self.trace:
                from simulations.report.recorder import Recorder

                recorder = Recorder(swarm)
            if self.trace is not None:
                from simulations.trace import TraceFile

                trace = stack.enter_context(TraceFile(self.trace, header))
                swarm.watchers.append(trace.watch)
            yield Recording(self, swarm, recorder, trace)

    def write(self, data: Mapping[str, Any]) -> None:
        """Report and picture of a run."""
        from simulations.trace import naming

        if self.report is not None:
            from simulations.report import page

            with naming(self.report):
                self.report.write_text(page.html(data), encoding="utf-8")
            say(f"report      {self.report}")
        if self.png is not None:
            from simulations.report import picture

            with naming(self.png):
                picture.write(data, self.png)
            say(f"picture     {self.png}")


@attrs.frozen(slots=True)
class Recording:
    _outputs: Outputs
    _swarm: Swarm
    _recorder: Recorder | None
    _trace: TraceFile | None

    def finish(self, run: Mapping[str, Any], command: str) -> None:
        """Write every file. `run` is the object of --json."""
        if self._recorder is None:
            return
        from simulations.report.data import collect

        data = collect(self._swarm, self._recorder, run, command)
        self._outputs.write(data)
        if self._trace is not None:
            self._trace.end(data)
            say(f"trace file  {self._outputs.trace}")


def check_kept(path: Path, *read: Path) -> None:
    """Fail if writing `path` would write over one of those files, whatever it is called."""
    if any(other.is_file() and _same(path, other) for other in read):
        fail("this file is what the command reads: it would be written over", code="usage", file=str(path),
             take="another name")  # fmt: skip


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one.resolve() == other.resolve()


@contextmanager
def writing() -> Iterator[None]:
    """A full disk is no bug."""
    try:
        yield
    except OSError as error:
        fail("a file of the run cannot be written", file=str(error.filename or "-"), reason=str(error.strerror))
