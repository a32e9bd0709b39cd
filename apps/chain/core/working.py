"""Accounts, names and evidence while transactions are applied one after another. Rules S1 to S6 and X9.

One rule set for three users: a block that is connected, the mempool's next block, and a template. What a transaction
does is applied whole or not at all (S4): nothing is changed before the last check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from typing import Protocol, TypeVar

import attrs

from apps.chain.core.amounts import credits_text
from apps.chain.core.judge import Judge
from apps.chain.core.limits import CLAIM_FEE
from apps.chain.core.operations import Evidence, Pay, SetName
from apps.chain.core.params import Params
from apps.chain.core.rows import Account, EvidenceRow, NameRow
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.tx import Tx, least_fee

_Row = TypeVar("_Row")


def evidence_key(evidence: bytes) -> bytes:
    return hashlib.sha256(evidence).digest()


class States(Protocol):
    """The part of a `View` that transactions depend on."""

    def accounts(self, keys: Collection[bytes]) -> dict[bytes, Account]: ...

    def names(self, names: Collection[bytes]) -> dict[bytes, NameRow]: ...

    def evidence(self, keys: Collection[bytes]) -> dict[bytes, EvidenceRow]: ...


def needed_by(txs: Iterable[Tx]) -> tuple[set[bytes], set[bytes], set[bytes]]:
    """Accounts, names and keys of evidence that these transactions depend on."""
    accounts, names, evidence = set[bytes](), set[bytes](), set[bytes]()
    for tx in txs:
        accounts.add(tx.sender)
        for operation in tx.operations:
            kind = type(operation)
            if kind is Pay:
                accounts.add(operation.to)  # type: ignore[union-attr]
            elif kind is SetName:
                names.add(operation.name)  # type: ignore[union-attr]
            elif kind is Evidence:
                evidence.add(evidence_key(operation.evidence))  # type: ignore[union-attr]
    return accounts, names, evidence


@attrs.define(slots=True, eq=False)
class Snapshot:
    """What many lines of transactions depend on, read with three questions; what it has not read it asks for."""

    states: States
    _accounts: dict[bytes, Account | None]
    _names: dict[bytes, NameRow | None]
    _evidence: dict[bytes, EvidenceRow | None]

    @classmethod
    def of(cls, states: States, txs: Iterable[Tx]) -> Snapshot:
        accounts, names, evidence = needed_by(txs)
        return cls(
            states,
            dict.fromkeys(accounts) | states.accounts(accounts),
            dict.fromkeys(names) | states.names(names),
            dict.fromkeys(evidence) | states.evidence(evidence),
        )

    def accounts(self, keys: Collection[bytes]) -> dict[bytes, Account]:
        return _from(self._accounts, keys, self.states.accounts)

    def names(self, names: Collection[bytes]) -> dict[bytes, NameRow]:
        return _from(self._names, names, self.states.names)

    def evidence(self, keys: Collection[bytes]) -> dict[bytes, EvidenceRow]:
        return _from(self._evidence, keys, self.states.evidence)


def _from(
    read: dict[bytes, _Row | None], keys: Collection[bytes], ask: Callable[[Collection[bytes]], dict[bytes, _Row]]
) -> dict[bytes, _Row]:
    if others := [key for key in keys if key not in read]:
        read.update(dict.fromkeys(others) | ask(others))
    return {key: row for key in keys if (row := read[key]) is not None}


@attrs.define(slots=True, eq=False)
class Working:
    """What a view says at `height` once the transactions applied so far are in a block."""

    view: States
    params: Params
    height: int
    judge: Judge
    fees: int = 0
    operations: int = 0
    #: key -> [balance, nonce].
    _accounts: dict[bytes, list[int]] = attrs.Factory(dict)
    _names: dict[bytes, NameRow | None] = attrs.Factory(dict)
    #: What was there before, of all that was read.
    _accounts_before: dict[bytes, Account | None] = attrs.Factory(dict)
    _names_before: dict[bytes, NameRow | None] = attrs.Factory(dict)
    _recorded: set[bytes] = attrs.Factory(set)
    evidence: list[EvidenceRow] = attrs.Factory(list)

    def load(self, txs: Iterable[Tx], *, keys: Iterable[bytes] = ()) -> None:
        """Reads all that these transactions need, and the accounts of `keys`, with one question to each table."""
        accounts, names, evidence = needed_by(txs)
        accounts.update(keys)
        if accounts := accounts - self._accounts.keys():
            found = self.view.accounts(accounts)
            for key in accounts:
                account = self._accounts_before[key] = found.get(key)
                self._accounts[key] = [account.balance, account.nonce] if account else [0, 0]
        if names := names - self._names.keys():
            self._names_before.update(dict.fromkeys(names) | self.view.names(names))
            self._names.update({name: self._names_before[name] for name in names})
        if evidence := evidence - self._recorded:
            self._recorded |= self.view.evidence(evidence).keys()

    def balance(self, key: bytes) -> int:
        return self._accounts[key][0]

    def nonce(self, key: bytes) -> int:
        return self._accounts[key][1]

    def credit(self, key: bytes, amount: int) -> None:
        self._accounts[key][0] += amount

    def apply(self, tx: Tx, pos: int) -> None:
        """`load` was called with it. Invalid X9 or S1 to S6, and then nothing has changed."""
        sender = self._accounts[tx.sender]
        if not tx.first <= self.height <= tx.last:
            raise Invalid(Rule.S1, f"valid from {tx.first} to {tx.last}, not at {self.height}")
        if tx.nonce != sender[1]:
            raise Invalid(Rule.S2, f"nonce {tx.nonce} != {sender[1]}")
        if tx.spent > sender[0]:
            raise Invalid(Rule.S3, f"spends {credits_text(tx.spent)} credits of {credits_text(sender[0])}")
        plain = all(type(operation) is not SetName and type(operation) is not Evidence for operation in tx.operations)
        names, evidence = ({}, []) if plain else (self._names_of(tx), self._evidence_of(tx, pos))
        sender[0] -= tx.spent
        sender[1] += 1
        for operation in tx.operations:
            if type(operation) is Pay:
                self._accounts[operation.to][0] += operation.amount
        self._names.update(names)
        self.evidence += evidence
        self._recorded.update(row.key for row in evidence)
        self.fees += tx.fee
        self.operations += len(tx.operations)

    def _names_of(self, tx: Tx) -> dict[bytes, NameRow | None]:
        """What its names are afterwards (S5)."""
        after: dict[bytes, NameRow | None] = {}
        claims = 0
        for operation in tx.operations:
            if type(operation) is not SetName:
                continue
            name = operation.name
            row = after[name] if name in after else self._names[name]
            if row is not None and row.expires <= self.height:
                row = None
            if row is not None and row.owner != tx.sender:
                raise Invalid(Rule.S5, f"the name {name.decode()} is another's until {row.expires}")
            if row is None and not operation.value:
                raise Invalid(Rule.S5, f"the name {name.decode()} is nobody's: it cannot be given back")
            claims += row is None
            expires = self.height + self.params.name_life
            after[name] = NameRow(name, tx.sender, operation.value, expires) if operation.value else None
        if claims and tx.fee < (least := least_fee(len(tx.raw)) + claims * CLAIM_FEE):
            why = f"a fee of {credits_text(tx.fee)} credits with {claims} claims, at least {credits_text(least)}"
            raise Invalid(Rule.S5, why)
        return after

    def _evidence_of(self, tx: Tx, pos: int) -> list[EvidenceRow]:
        """What it records (S6, X9)."""
        rows: list[EvidenceRow] = []
        for at, operation in enumerate(tx.operations):
            if type(operation) is not Evidence:
                continue
            key = evidence_key(operation.evidence)
            if key in self._recorded or any(row.key == key for row in rows):
                raise Invalid(Rule.S6, f"evidence {key.hex()[:16]} is recorded already")
            culprit = self.judge(operation.evidence)
            if culprit is None:
                raise Invalid(Rule.X9, f"operation {at} convicts nobody")
            rows.append(EvidenceRow(key, culprit, self.height, pos, at))
        return rows

    # --- what came of it ---

    def changed_accounts(self) -> list[Account]:
        """Those that differ from what was read, by key; one that was neither there nor credited is not made."""
        before = self._accounts_before
        return [
            Account(key, balance, nonce)
            for key, (balance, nonce) in sorted(self._accounts.items())
            if (balance, nonce) != ((was.balance, was.nonce) if (was := before[key]) else (0, 0))
        ]

    def account_before(self, key: bytes) -> Account | None:
        return self._accounts_before[key]

    def changed_names(self) -> dict[bytes, NameRow | None]:
        return {name: row for name, row in sorted(self._names.items()) if row != self._names_before[name]}

    def name_before(self, name: bytes) -> NameRow | None:
        return self._names_before[name]
