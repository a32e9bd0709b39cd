"""One message to many peers at once, one future for all the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from overlay.errors import LimitError
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Endpoint, Pending
from overlay.wire.messages import Message


async def ask_all(
    endpoint: Endpoint, contacts: Sequence[Contact], message: Callable[[Contact], Message]
) -> dict[Contact, Message | None]:
    """Answer by contact, None for those who stayed silent. Never raises for what peers do."""
    answers: dict[Contact, Message | None] = dict.fromkeys(contacts)
    left = len(answers)
    done = endpoint.loop.future()
    pending: list[Pending] = []

    def ended(contact: Contact, answer: Message | None) -> None:
        nonlocal left
        answers[contact] = answer
        left -= 1
        if not left:
            done.set()

    def ask(contact: Contact) -> None:
        try:
            pending.append(
                endpoint.request(
                    contact,
                    message(contact),
                    on_reply=lambda _, answer: ended(contact, answer),
                    on_failed=lambda: ended(contact, None),
                )
            )
        except LimitError:
            ended(contact, None)

    for contact in answers:
        ask(contact)
    try:
        if answers:
            await done
    finally:
        for request in pending:
            request.cancel()
    return answers
