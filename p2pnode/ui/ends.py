"""How a command line ends: every exception becomes a text and an exit code. Shared by the programs of the project."""

from __future__ import annotations

import errno
import itertools
import re
import sys

import click

from p2pnode.ui.fail import Exit, Fail, show
from p2pnode.ui.output import give_up, open_closed, settle, tolerate


def run_line(program: click.Command, name: str, args: list[str], *, obj: object = None) -> int:
    """Run one command line and return its exit code; everything that it says is already printed.

    `obj`: what `click.pass_obj` gives, if the program does not make it itself."""
    open_closed()
    tolerate()
    stdout = sys.stdout
    options = args[: args.index("--")] if "--" in args else args
    try:
        try:
            code = program.main(args, prog_name=name, standalone_mode=False, obj=obj)
            sys.stdout.flush()
            return code if isinstance(code, int) else Exit.OK
        except click.exceptions.NoArgsIsHelpError as error:
            print(error.format_message(), flush=True)
            return Exit.OK
        except BrokenPipeError:
            raise
        except SystemExit:
            # click makes an exit of a closed pipe, and puts something in front of stdout before.
            if sys.stdout is stdout:
                raise
            sys.stdout = stdout
            raise BrokenPipeError from None
        except (Exception, KeyboardInterrupt) as error:
            listens = settle(sys.stdout)
            return show(_failure(error, name, options), as_json_object=listens and "--json" in options)
    except BrokenPipeError:  # the reader has enough (`| head`): it got what it wanted
        give_up(sys.stdout)
        return Exit.OK
    except OSError as error:  # not even what went wrong can be written there
        give_up(sys.stdout)
        try:
            return show(_failure(error, name, options), as_json_object=False)
        except OSError:
            give_up(sys.stderr)
    return Exit.FAILED


def _failure(error: BaseException, program: str, options: list[str]) -> Fail:
    """What to tell whoever typed these."""
    verbose = any(option == "--verbose" or option.startswith("-v") for option in options)
    return _on_home(_with_next_command(failure_of(error, program=program, verbose=verbose)), options)


def failure_of(error: BaseException, *, program: str, verbose: bool = False) -> Fail:
    """What to tell of an exception that came up to here; one that nobody foresaw is a bug."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # trio wraps what leaves a nursery
    match error:
        case Fail():
            return error
        case click.UsageError():
            return _usage(error, program)
        case click.ClickException():
            return Fail(error.format_message())
        case KeyboardInterrupt() | click.Abort():
            return Fail("stopped by Ctrl-C", code="interrupted")
    return _of_home(error) or _bug(error, program, verbose=verbose)


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
    facts = {
        label: text if label in _OF_THE_LANGUAGE else on_home(text, home) for label, text in failure.facts.items()
    }
    return Fail(failure.what, code=failure.code, facts=facts)


def _usage(error: click.UsageError, program: str) -> Fail:
    path = error.ctx.command_path if error.ctx else program
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


def _bug(error: BaseException, program: str, *, verbose: bool) -> Fail:
    _log(error)
    facts = {"what": f"{type(error).__name__}: {error}"}
    if verbose:
        import traceback

        facts["where"] = "".join(traceback.format_exception(error))
    else:
        facts["see where"] = f"the same command with {program} -v …"
    return Fail(f"a bug in {program}", facts=facts)


def _log(error: BaseException) -> None:
    """A node has a log from its start (p2pnode.trace), and what ended it must stand there; a command has none."""
    import logging

    if logging.getLogger().hasHandlers():
        logging.getLogger(__name__).critical("a bug ends this process", exc_info=error)


#: A command of the project that names no home; not one in backquotes, which speaks of commands as such.
_COMMAND = re.compile(r"(?<![\w/`'.-])(p2pnode|chain-explorer) (?=[a-z])")


def on_home(text: str, home: str | None) -> str:
    """The commands in a text with the home that this command line had."""
    import shlex

    return _COMMAND.sub(lambda found: f"{found[1]} --home {shlex.quote(home)} ", text) if home else text
