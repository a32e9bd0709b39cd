"""Stays with a share until all of it is here, and says why if that does not come about."""

from __future__ import annotations

import time
from typing import Any

import attrs

from apps.files.cli.asking import NOTES, ask, name_of, percent, short
from apps.files.cli.progress import Progress
from apps.files.cli.shown import state_of
from p2pnode.api import Session
from p2pnode.ui.fail import Fail
from p2pnode.ui.render import counted, one_line

#: Without --timeout: so long nobody who has it was reached, and nothing came. A peer that is there answers in a second,
#: one that was off is tried again after a minute.
NOBODY_S = 60.0
#: The same where everybody who was there had sent what is wrong.
WRONG_S = 10.0
#: Without --timeout: so long nobody has said what is in it, whoever claims to know. The largest list that was ever seen
#: takes 260 s at the least rate that a peer must have (LEAST_INFO_RATE).
UNTOLD_S = 600.0
#: Between two looks: at first often, for what is small.
_LOOK_S, _MOST_LOOK_S = 0.02, 0.5
_LOOKING = "looking for somebody who has it"
#: The disk makes safe what is there.
_REST_S = 30.0


@attrs.define(slots=True, eq=False)
class Fetch:
    """Until a share is complete. In any other end it rests, if this command had begun it; if not even its name came,
    it is forgotten."""

    session: Session
    share: dict[str, Any]
    began: float
    timeout: float | None
    _quiet_since: float = attrs.field(init=False)
    _last: tuple[Any, ...] = attrs.field(default=(), init=False)
    #: All of it was here before.
    _again: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._quiet_since = self.began

    def run(self, progress: Progress) -> dict[str, Any]:
        """The share at the end. Fail says why it did not come to that."""
        mine, self._again = self.share["began"], self.share["again"]
        try:
            return self._follow(progress)
        except KeyboardInterrupt:
            failure = Fail("stopped by Ctrl-C", code="interrupted")
        except Fail as error:
            if error.code == "no_node":
                raise
            failure = error
        raise self._ended(failure, self._rest() if mine else str(self.share["state"]))

    def _follow(self, progress: Progress) -> dict[str, Any]:
        look_s = _LOOK_S
        while self.share["state"] != "complete":
            self._check()
            self._show(progress)
            time.sleep(look_s)
            look_s = min(look_s * 1.5, _MOST_LOOK_S)
            self.share = ask(self.session, "status", {"share": self.share["id"]})
        if state_of(self.share) == "changed":
            notes = "\n".join(map(one_line, self.share["notes"][:NOTES]))
            raise Fail(f"{one_line(name_of(self.share))} has changed since it was shared from here",
                       facts={"path": self.share["path"]} | ({"what": notes} if notes else {}))  # fmt: skip
        return self.share

    def _check(self) -> None:
        share, now = self.share, time.monotonic()
        if share["state"] in ("paused", "full", "failed"):
            why = {"paused": "somebody paused it", "full": "there is no room on the disk"}.get(share["state"], "")
            raise Fail(share["trouble"] or why or "it failed")
        if self.timeout is not None and now - self.began >= self.timeout:
            raise Fail(f"not all of it came within {self.timeout:g} s", code="timed_out", facts=self._who())
        if self.timeout is None and share["state"] == "finding" and now - self.began >= UNTOLD_S:
            raise Fail("nobody has told what is in it", code="timed_out", facts=self._who())
        sign = (share["state"], share["done"], share["downloaded"], share["peers"])
        if sign != self._last or share["useful"] or share["state"] == "checking":
            self._last, self._quiet_since = sign, now
            return
        quiet_s = now - self._quiet_since
        if share["dropped"] and quiet_s >= WRONG_S:
            raise Fail("everybody who had it sent what is wrong; none of that was kept", code="not_verified",
                       facts={"sent what is wrong": counted(share["dropped"], "peer")})  # fmt: skip
        if quiet_s >= NOBODY_S:
            some = "what is missing" if share["done"] else "it"
            what = f"nobody who has {some} could be reached"
            if share["lost_there"] == share["peers"] > 0:
                what = f"{some} is gone: who had it has deleted or changed it"
            raise Fail(what, code="timed_out", facts=self._who())

    def _who(self) -> dict[str, str]:
        """Who was asked, and what became of that."""
        known, silent = self.share["known"], self.share["silent"]
        if not known:
            return {"asked": "the network (DHT): it knows nobody who has it", "and the link": "names no peer"}
        lost, lacking = self.share["lost_there"], self.share["peers"] - self.share["lost_there"]
        told = [f"{counted(lost, 'peer')} had it and can give it no longer: changed or deleted there"] if lost else []
        told += [f"{counted(lacking, 'peer')} answered, and {_lack(lacking)} it too"] if lacking else []
        told += [f"{peer['peer'][:9]}  {one_line(peer['reason'])}" for peer in silent]
        return {"asked": f"{counted(known, 'peer')} of the link and of the network" + "".join(f"\n{t}" for t in told)}

    def _show(self, progress: Progress) -> None:
        share = self.share
        progress.call(name_of(share))
        peers = counted(share["peers"], "peer")
        match share["state"]:
            case "finding":
                text = f"asking {peers} what is in it" if share["useful"] else _LOOKING
                progress.show(None, None, text)
            case "checking":
                far = ask(self.session, "progress", {"share": share["id"]}) or {"done": 0, "total": 0}
                progress.show(far["done"], far["total"], "checking what is there")
            case _:
                text = peers if share["useful"] else _LOOKING
                progress.show(share["done"], share["wanted"], text, rate=share["down_per_s"])

    def _rest(self) -> str:
        """What became of it: nothing goes on behind the back of whoever stopped it."""
        share = {"share": self.share["id"]}
        unknown = self.share["name"] is None
        try:
            ask(self.session, "remove" if unknown else "pause", share, timeout_s=_REST_S)
        except (Fail, KeyboardInterrupt):
            return str(self.share["state"])
        return "forgotten" if unknown else "paused"

    def _ended(self, failure: Fail, became: str) -> Fail:
        facts, id = dict(failure.facts), short(self.share["id"])
        state = state_of(self.share)
        if failure.code == "failed" and (state == "changed" or (self._again and state == "failed")):
            # Whoever changed it may want to keep it: its files are not erased.
            facts |= {"forget it": self.session.command(f"files remove {id}"), "then": "the same command"}
            return Fail(failure.what, code=failure.code, facts=facts)
        if failure.code != "not_found":  # else somebody has removed it
            so_far = "nothing" if self.share["done"] is None else percent(self.share)
            again = "the same command" if became == "forgotten" else self.session.command(f"files resume {id}")
            facts |= {"so far": f"{so_far}; it is {became}", "go on": again}
        if failure.code != "not_found" and became != "forgotten":
            facts["or forget it"] = self.session.command(f"files remove {id} --erase")
        return Fail(failure.what, code=failure.code, facts=facts)


def _lack(number: int) -> str:
    return "lacks" if number == 1 else "lack"
