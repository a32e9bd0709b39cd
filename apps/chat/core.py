"""The whole chat. The same class runs in a node and in a swarm of thousands."""

from __future__ import annotations

from overlay import App, AppContext, message


@message("chat/1", 1)
class Say:
    text: str


class Chat(App):
    name = "chat"

    async def run(self, ctx: AppContext) -> None:
        ctx.command("say", lambda args: ctx.publish("chat", Say(text=str(args.get("text", "")))))
        async for author, said in ctx.subscribe("chat", Say):
            ctx.emit("said", author=author, text=said.text)
