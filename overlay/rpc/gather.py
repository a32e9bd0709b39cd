"""One message to many peers at once, one future for all the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from overlay.errors import LimitError
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Endpoint
from overlay.wire.messages import Message


async def ask_all(
    endpoint: Endpoint, contacts: Sequence[Contact], message: Callable[[Contact], Message]
) -> dict[Contact, Message | None]:
    """Answer by contact, None for those who stayed silent. Never raises for what peers do.

    Ends when everybody answered or let two tries pass. The third is still made, and may still do what was asked.
    """
    answers: dict[Contact, Message | None] = dict.fromkeys(contacts)
    waiting = dict.fromkeys(answers)
    done = endpoint.loop.future()

    def ended(contact: Contact, answer: Message | None) -> None:
        if contact in waiting:
            del waiting[contact]
            answers[contact] = answer
            if not waiting:
                done.set()

    def ask(contact: Contact) -> None:
        try:
            endpoint.request(
                contact,
                message(contact),
                on_reply=lambda _, answer: ended(contact, answer),
                on_failed=lambda: ended(contact, None),
                on_slow=lambda tries: ended(contact, None) if tries > 1 else None,
            )
        except LimitError:
            ended(contact, None)

    for contact in answers:
        ask(contact)
    if waiting:
        await done
    return answers
