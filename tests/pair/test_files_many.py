"""Thousands of shares of one node: none fails because the others begin at the same time."""

from __future__ import annotations

from apps.files.core.around import around_of
from apps.files.core.limits import MAX_HASHING, MAX_LOOKING
from overlay import App, AppContext
from overlay.limits import MAX_WORK
from overlay.runtime.ports import SECOND, Ok, Operate
from tests.pair.test_app_context import events
from tests.support.pair import pair

SHARES = 2 * MAX_WORK


class Begins(App):
    name = "begins"
    operations = {"info": bytes, "open": bytes}  # noqa: RUF012

    async def run(self, ctx: AppContext) -> None:
        around = around_of(ctx, lambda _: None)

        async def look(number: int) -> None:
            await around.operate("info", number)
            await around.operate("open", number)
            ctx.emit("open", number=number)

        for number in range(SHARES):
            ctx.spawn(look(number))
        await ctx.sleep(10**6 * SECOND)


def test_all_shares_begin_at_a_start() -> None:
    link = pair(apps_a=[Begins()])
    most: dict[str, int] = {}
    while link.unanswered:
        asked = [effect.operation for _, effect in link.unanswered if isinstance(effect, Operate)]
        most = {name: max(most.get(name, 0), asked.count(name)) for name in {*most, *asked}}
        link.answer_storage(Ok(b""))
    assert most == {"begins.info": MAX_LOOKING, "begins.open": MAX_HASHING}
    assert sorted(fields["number"] for _, fields in events(link)) == list(range(SHARES))  # type: ignore[type-var]
