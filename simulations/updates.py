"""Records that are written again and again by their authors: whether readers see the newest version."""

from __future__ import annotations

import attrs

from overlay.runtime.chance import Rng
from overlay.runtime.ports import Ok, Outcome
from simulations.bounds import after, not_negative, positive
from simulations.swarm import Swarm
from simulations.workload import spread


@attrs.define(slots=True)
class _Author:
    node: int
    #: (seq, value) of every put that was acknowledged or reported its seq.
    versions: dict[int, bytes] = attrs.Factory(dict)
    newest: int = 0
    key: str = ""


@attrs.frozen(slots=True, kw_only=True)
class Updates:
    """Some honest nodes own a record each and put new versions of it; random others read it.

    A read succeeds if what it gives is at least as new as the newest version that was acknowledged before the read
    began. Measures: `update` (puts), `fresh` (reads), and counts `two_values_one_seq`: versions of one seq with
    different values, which an honest author must never sign, whatever happened to its disk.
    """

    authors: int = attrs.field(default=10, validator=positive)
    #: Puts of all authors together.
    puts: int = attrs.field(default=200, validator=positive)
    reads: int = attrs.field(default=200, validator=positive)
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    to_s: float | None = attrs.field(default=None, validator=after("from_s"))

    def begin(self, swarm: Swarm) -> None:
        rng = swarm.rng("updates")
        swarm.measures.count("two_values_one_seq", 0)
        authors: list[_Author] = []

        def choose() -> None:
            first = swarm.scenario.population.bootstraps
            mortal = [node for node in swarm.honest() if node >= first]
            authors.extend(_Author(node) for node in sorted(rng.sample(mortal, self.authors)))

        swarm.at(self.from_s, choose)
        spread(swarm, self.puts, self.from_s, self.to_s, lambda i: self._put(swarm, authors, i))
        spread(swarm, self.reads, self.from_s, self.to_s, lambda _: self._read(swarm, rng, authors))

    def _put(self, swarm: Swarm, authors: list[_Author], i: int) -> None:
        if not authors:
            return
        author = authors[i % len(authors)]
        if not swarm.engine.alive(author.node):
            return
        value, began_ns = b"version %d" % i, swarm.engine.now_ns

        def ended(outcome: Outcome, took_ns: int) -> None:
            swarm.measures.operation("update").add(began_ns, took_ns, isinstance(outcome, Ok))
            if isinstance(outcome, Ok):
                author.key, seq = outcome.value["key"], outcome.value["seq"]
                self._saw(swarm, author, seq, value)
                author.newest = max(author.newest, seq)

        swarm.ask(author.node, "put", {"value": value, "name": "updated"}, ended)

    def _read(self, swarm: Swarm, rng: Rng, authors: list[_Author]) -> None:
        known = [author for author in authors if author.key]
        honest = swarm.honest()
        if not known or len(honest) < 2:
            return
        author = rng.choice(known)
        reader = rng.choice([node for node in honest if node != author.node])
        expected, began_ns = author.newest, swarm.engine.now_ns

        def ended(outcome: Outcome, took_ns: int) -> None:
            fresh = False
            if isinstance(outcome, Ok):
                seq = outcome.value["seq"]
                self._saw(swarm, author, seq, outcome.value["value"])
                fresh = seq >= expected
            swarm.measures.operation("fresh").add(began_ns, took_ns, fresh)

        swarm.ask(reader, "get", {"key": author.key}, ended)

    def _saw(self, swarm: Swarm, author: _Author, seq: int, value: bytes) -> None:
        if author.versions.setdefault(seq, value) != value:
            swarm.measures.count("two_values_one_seq")
