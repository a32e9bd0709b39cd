"""What transactions do, in a few words and in whole lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from apps.chain.cli.explorer.texts import People, beside, credits_text, id_text, quoted
from apps.chain.core.operations import Anchor, Evidence, Operation, Pay, SetName
from p2pnode.ui.render import cut


def brief(operations: Sequence[Operation], *, width: int = 25) -> str:
    """`pay 2.5, anchor`, `anchor x12`: in so many columns."""
    words = Counter("pay" if type(op) is Pay else _word(op) for op in operations)
    paid = sum(op.amount for op in operations if type(op) is Pay)
    texts = []
    for word, count in words.items():
        times = f" x{count}" if count > 1 else ""
        texts.append(f"{word}{times} {credits_text(paid)}" if word == "pay" else f"{word}{times}")
    return cut(", ".join(texts), width)


def _word(op: Operation) -> str:
    match op:
        case Pay():
            return "pay"
        case Anchor():
            return "anchor"
        case SetName(_, value):
            return "name" if value else "release"
        case Evidence():
            return "evidence"


def lines_of(op: Operation, people: People, *, label: str = "") -> list[str]:
    """`  0  PAY      2.5 -> xn1q0a3f…77kd (edge-3)   memo "relay"`; what does not fit beside it goes below."""
    word, (text, note) = f"{label}{_word(op).upper():<8} ", _texts(op, people)
    return beside(f"{word}{text}", note, indent=len(word))


def _texts(op: Operation, people: People) -> tuple[str, str]:
    match op:
        case Pay(to, amount, memo=memo):
            return f"{credits_text(amount)} -> {people.known(to)}", f"memo {quoted(memo)}" if memo else ""
        case Anchor(digest, tag=tag):
            return id_text(digest, full=people.full), f"tag {quoted(tag)}" if tag else ""
        case SetName(name, value):
            return name.decode("ascii"), f"= {quoted(value)}" if value else ""
        case Evidence(evidence):
            return f"{len(evidence):,} bytes", ""

