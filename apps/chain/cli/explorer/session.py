"""What the options before the verb say, and how an answer leaves: as text, as JSON, or one field of it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import click

from apps.chain.cli.explorer.texts import People
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.render import print_json

if TYPE_CHECKING:
    from apps.chain.cli.explorer.live import Node
    from apps.chain.core.explorer.chain import Chain

PROGRAM = "chain-explorer"


def _nobody(_evidence: bytes) -> bytes | None:
    return None


@attrs.frozen(slots=True)
class Session:
    """`ctx.obj` of every command."""

    home: str | None = None
    data: Path | None = None
    #: Seconds since 1970.
    clock: Callable[[], float] = time.time
    #: Whom evidence convicts (apps.chain.core.judge), as in the application.
    judge: Callable[[bytes], bytes | None] = _nobody

    @contextlib.contextmanager
    def chain(self, *, light: bool = False) -> Iterator[Chain]:
        """The chain of the folder or of the home, as it is at this moment. Fail if there is none, or if it is headers
        alone, unless `light` says that these will do."""
        from apps.chain.cli.explorer.source import open_chain

        with translated(self), open_chain(self.data, self.home) as chain:
            if chain.light and not light:
                fail("this home keeps headers alone: it cannot know", by_headers=self.command("status"),
                     by_asking_others=self.command("anchor DIGEST, tx TXID, address ADDRESS"),
                     to_keep_all="p2pnode run            (without --light; light = false)")  # fmt: skip
            yield chain

    @contextlib.contextmanager
    def maybe_chain(self) -> Iterator[Chain | None]:
        """As `chain`; None where there is none, unless a folder was named."""
        from apps.chain.cli.explorer.source import is_there

        if self.data is None and not is_there(self.home):
            yield None
        else:
            with self.chain(light=True) as chain:
                yield chain

    def node(self) -> Node | None:
        """What the running node of the home knows beside the chain; None with --data, or if none runs."""
        from apps.chain.cli.explorer.live import connect

        return None if self.data is not None else connect(self.home)

    def running(self) -> Node:
        """As `node`; Fail (no_node) where there is none."""
        node = self.node()
        if node is None:
            fail("this needs a running node with a chain", code="no_node",
                 start_one="p2pnode run            (or name another: chain-explorer --home DIR …)")  # fmt: skip
        return node

    def asking(self) -> Node:
        """The running node of a home that keeps headers alone, which asks others; Fail (no_node)."""
        node = self.node()
        if node is None:
            fail("this home keeps headers alone, and no node runs that would ask others", code="no_node",
                 start_one="p2pnode run")  # fmt: skip
        return node

    def command(self, words: str) -> str:
        """A command line that a person can paste: with --home or --data if this one had it."""
        import shlex  # 4 ms

        where = f"--data {shlex.quote(str(self.data))} " if self.data is not None else ""
        where = f"--home {shlex.quote(self.home)} " if self.home else where
        return f"{PROGRAM} {where}{words}".strip()


@contextlib.contextmanager
def translated(session: Session) -> Iterator[None]:
    """What a question raises, as a failure of a command: not found, or typed wrongly."""
    from apps.chain.core.explorer.chain import Torn, Unknown
    from overlay.errors import BadMessage, LocalError

    try:
        yield
    except Unknown as error:
        # With --home p2pnode.ui.ends does the same, for all that fails.
        given = session.command("") if session.data is not None else PROGRAM
        facts = {label: text.replace(f"{PROGRAM} ", f"{given} ") for label, text in error.facts.items()}
        raise Fail(str(error), code="not_found", facts=facts) from None
    except (Torn, BadMessage, LookupError, ValueError, OverflowError) as error:
        # A file may be a stranger's, whose rows contradict each other in more ways than anybody can foresee.
        raise Fail("the chain is not as a node writes it", facts={
            "reason": getattr(error, "reason", None) or str(error) or type(error).__name__,
            "where": session.command("verify --level 4"), "if that finds nothing": "this is a bug of chain-explorer",
        }) from error  # fmt: skip
    except LocalError as error:
        raise Fail(str(error), code="usage", facts=getattr(error, "facts", None)) from None


def people(chain: Chain, keys: Collection[bytes], *, full: bool = False) -> People:
    return People(chain.params.hrp, chain.names_of(keys), full=full)


def answer(obj: dict[str, Any], *, as_json: bool, field: str | None) -> bool:
    """Print the object, or one field of it, if that was asked for; else False: the caller shows it to a person."""
    if field is not None:
        print_field(obj, field)
    elif as_json:
        print_json(obj)
    return as_json or field is not None


def print_field(obj: dict[str, Any], path: str) -> None:
    """`height`, `operations.0.amount`: plain text, or JSON where the value has parts."""
    value: Any = obj
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            _no_field(obj, path, value)
    is_text = isinstance(value, str) and "\n" not in value and value.isprintable()
    print(value if is_text else json.dumps(value, ensure_ascii=not is_text), flush=True)


def _no_field(obj: dict[str, Any], path: str, value: Any) -> NoReturn:
    """`value`: the last part of the way that was there."""
    if isinstance(value, dict):
        fail(f"no such field: {path!r}", code="usage", there_are=", ".join(value) or "none")
    if isinstance(value, list):
        there = f"0 to {len(value) - 1}" if value else "none: the list is empty"
        fail(f"no such field: {path!r}", code="usage", there_are=there)
    what = "nothing" if value is None else json.dumps(value)
    fail(f"no such field: {path!r}, since what stands before it is {what}, which has no parts", code="usage",
         there_are=", ".join(obj))  # fmt: skip


# --- options that commands share -----------------------------------------------------------

field_option = click.option("-f", "--field", metavar="FIELD", help="Print one field of the JSON alone: height, txs.0.")
full_option = click.option("--full", is_flag=True, help="Ids and addresses in full.")
lines_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def limit_option(default: int) -> Callable[[Any], Any]:
    return click.option(
        "--limit", type=click.IntRange(min=1, max=1_000_000), default=default, show_default=True, metavar="N",
        help="At most so many.",
    )  # fmt: skip


pass_session = click.make_pass_decorator(Session, ensure=True)
