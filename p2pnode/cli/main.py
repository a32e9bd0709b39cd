"""Entry point: parses the line, runs one command, turns every end into a text and an exit code."""

from __future__ import annotations

import errno
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from p2pnode.cli.lazy import PLUGINS, Lazy, LazyGroup
from p2pnode.cli.output import give_up, open_closed, settle
from p2pnode.cli.session import Session, examples, on_home
from p2pnode.ui.fail import Exit, Fail, show

_DAILY = "Daily"
_SUBSYSTEMS = "Subsystems"
_COMMANDS = "p2pnode.cli.commands"

LAZY = {
    "run": Lazy(f"{_COMMANDS}.run:run", "Run a node here until Ctrl-C.", _DAILY),
    "status": Lazy(f"{_COMMANDS}.status:status", "Who the node is and whether it is connected.", _DAILY),
    "stop": Lazy(f"{_COMMANDS}.stop:stop", "Have the node leave the network and end.", _DAILY),
    "demo": Lazy(f"{_COMMANDS}.demo:demo", "Start real peers on this machine and show what they do.", _DAILY),
    "doctor": Lazy(f"{_COMMANDS}.doctor:doctor", "Check what usually goes wrong, and say what to do.", _DAILY),
    "ticket": Lazy(f"{_COMMANDS}.ticket:ticket", "One line that another node joins with.", _DAILY),
    "peers": Lazy(f"{_COMMANDS}.peers:peers", "List, show and ping peers.", _SUBSYSTEMS),
    "dht": Lazy(f"{_COMMANDS}.dht:dht", "Store and find records.", _SUBSYSTEMS),
    "replay": Lazy(f"{_COMMANDS}.replay:replay", "Feed a recording of a node to a fresh core.", _SUBSYSTEMS),
    "topic": Lazy(f"{_COMMANDS}.topic:topic", "Publish to all who subscribe a topic, and listen.", _SUBSYSTEMS),
    "app": Lazy(f"{_COMMANDS}.app:app", "Applications of the node: list, ask, and what they emit.", _SUBSYSTEMS),
    "id": Lazy(f"{_COMMANDS}.id:id_group", "The identity of this home: show, new, export, import.", _SUBSYSTEMS),
    "network": Lazy(f"{_COMMANDS}.network:network", "Make the key of a private network.", _SUBSYSTEMS),
    "config": Lazy(f"{_COMMANDS}.config:config", "Show and check settings, list files.", _SUBSYSTEMS),
    "completion": Lazy(f"{_COMMANDS}.completion:completion", "Completion for bash, zsh and fish.", _SUBSYSTEMS),
}


def _version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        import p2pnode

        print(f"p2pnode {p2pnode.__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy=LAZY,
    plugins=PLUGINS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "p2pnode run             on two machines of one network: they find each other",
        "p2pnode dht put hello --name greeting",
        "p2pnode demo --once     five peers on this machine, a tour, and an end",
    ),
)
@click.option("--home", metavar="DIR", help="Folder of the node (else P2PNODE_HOME, else the user's data folder).")
@click.option("-v", "--verbose", count=True, help="Say more; -vv says all, -vvv what libraries say too.")
@click.option("--log-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the log there too.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show it and exit.")
@click.pass_context
def cli(ctx: click.Context, home: str | None, verbose: int, log_file: Path | None) -> None:
    """A peer-to-peer node: run one, and use it.

    Data goes to stdout, talk to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 no node running, 4 not found,
    5 not verified, 6 timed out, 130 Ctrl-C.
    """
    ctx.obj = Session(home, verbose, log_file)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    sys.exit(int(run_line(list(sys.argv[1:] if argv is None else argv))))


def run_line(args: list[str]) -> int:
    """Run one command line and return its exit code; everything that it says is already printed."""
    open_closed()
    options = args[: args.index("--")] if "--" in args else args
    try:
        try:
            code = cli.main(args, prog_name="p2pnode", standalone_mode=False)
            sys.stdout.flush()
            return code if isinstance(code, int) else Exit.OK
        except click.exceptions.NoArgsIsHelpError as error:
            print(error.format_message(), flush=True)
            return Exit.OK
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            listens = settle(sys.stdout)
            return show(_failure(error, options), as_json_object=listens and "--json" in options)
    except BrokenPipeError:  # the reader has enough (`| head`)
        give_up(sys.stdout)
    except OSError as error:  # not even what went wrong can be written there
        give_up(sys.stdout)
        try:
            return show(_failure(error, options), as_json_object=False)
        except OSError:
            give_up(sys.stderr)
    return Exit.FAILED


def _failure(error: BaseException, options: list[str]) -> Fail:
    """What to tell whoever typed these."""
    verbose = any(option == "--verbose" or option.startswith("-v") for option in options)
    return _on_home(_with_next_command(failure_of(error, verbose=verbose)), options)


def failure_of(error: BaseException, *, verbose: bool = False) -> Fail:
    """What to tell of an exception that came up to here; one that nobody foresaw is a bug."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # trio wraps what leaves a nursery
    match error:
        case Fail():
            return error
        case click.UsageError():
            return _usage(error)
        case click.ClickException():
            return Fail(error.format_message())
        case KeyboardInterrupt() | click.Abort():
            return Fail("stopped by Ctrl-C", code="interrupted")
    return _of_home(error) or _bug(error, verbose=verbose)


#: Where the node gave no facts: label and command, by code.
_NEXT = {
    "not_found": ("who was there", "p2pnode peers"),
    "timed_out": ("look", "p2pnode doctor"),
    "not_verified": ("look", "p2pnode -v … and the log of the node"),
}


def _with_next_command(failure: Fail) -> Fail:
    if failure.facts or failure.code not in _NEXT:
        return failure
    label, command = _NEXT[failure.code]
    return Fail(failure.what, code=failure.code, facts={label: command})


#: click's names of types, and what a person calls them.
_WORDS = {
    "is not a valid integer range": "is not a whole number",
    "is not a valid integer": "is not a whole number",
    "is not a valid float range": "is not a number",
}

#: Facts about the language of the command line, which is the same for every home.
_OF_THE_LANGUAGE = ("usage", "help", "did you mean")


def _on_home(failure: Fail, options: list[str]) -> Fail:
    """Who typed --home pastes commands that have it too."""
    given = [after for option, after in itertools.pairwise(options) if option == "--home"]
    given += [option.partition("=")[2] for option in options if option.startswith("--home=")]
    home = given[-1] if given else None
    facts = {label: text if label in _OF_THE_LANGUAGE else on_home(text, home) for label, text in failure.facts.items()}
    return Fail(failure.what, code=failure.code, facts=facts)


def _usage(error: click.UsageError) -> Fail:
    path = error.ctx.command_path if error.ctx else "p2pnode"
    message, facts = error.format_message(), {}
    if close := getattr(error, "possibilities", None):  # click guesses from 8.4 on
        is_command = not close[0].startswith("-")
        message, facts = error.message, {"did you mean": f"{path} {close[0]}" if is_command else close[0]}
    if error.ctx is not None:
        facts["usage"] = " ".join(error.ctx.get_usage().removeprefix("Usage: ").split())
    facts["help"] = f"{path} --help"
    message = message.rstrip(".")
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return Fail(message[:1].lower() + message[1:], code="usage", facts=facts)


def _of_home(error: BaseException) -> Fail | None:
    """HomeError lies below p2pnode.ui and has its shape; LocalError is the core saying what it was asked wrongly."""
    from overlay.errors import LocalError
    from p2pnode.paths import HomeError

    match error:
        case HomeError():
            return Fail(error.what, code=error.code, facts=error.facts)
        case LocalError():
            return Fail(str(error), code="usage", facts=getattr(error, "facts", None))
        case PermissionError() | IsADirectoryError() | NotADirectoryError():  # of the machine, not of this program
            named = {"file": error.filename} if isinstance(error.filename, str) else {}
            return Fail("a file cannot be used", facts={**named, "reason": error.strerror or str(error)})
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG | errno.EROFS | errno.EIO):
            named = {"file": error.filename} if isinstance(error.filename, str) else {"where": "stdout, or a file"}
            return Fail("not all can be written", facts={**named, "reason": error.strerror or str(error)})
    return None


def _bug(error: BaseException, *, verbose: bool) -> Fail:
    _log(error)
    facts = {"what": f"{type(error).__name__}: {error}"}
    if verbose:
        import traceback

        facts["where"] = "".join(traceback.format_exception(error))
    else:
        facts["see where"] = "the same command with p2pnode -v …"
    return Fail("a bug in p2pnode", facts=facts)


def _log(error: BaseException) -> None:
    """A node has a log from its start (p2pnode.trace), and what ended it must stand there; a command has none."""
    import logging

    if logging.getLogger().hasHandlers():
        logging.getLogger(__name__).critical("a bug ends this process", exc_info=error)


if __name__ == "__main__":
    main()
