"""The picker against plain sets: none asked twice before the end, always the rarest, and it ends."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apps.files.core import bits
from apps.files.core.limits import ENDGAME_COPIES, ENDGAME_UNITS, RANDOM_FIRST
from apps.files.core.picker import Order, Picker
from overlay.runtime.chance import Rng

SOURCES = st.sampled_from("abcde")


def set_of(units: Iterable[int]) -> int:
    return sum(1 << unit for unit in set(units))


class PickerMachine(RuleBasedStateMachine):
    """Every call that a session makes, in any order."""

    @initialize(count=st.integers(1, 40), seed=st.integers(0, 2**32), order=st.sampled_from(Order), data=st.data())
    def begin(self, count: int, seed: int, order: Order, data: st.DataObject) -> None:
        self.count = count
        self.held = data.draw(st.sets(st.integers(0, count - 1), max_size=count // 2))
        self.wanted = set(range(count)) - data.draw(st.sets(st.integers(0, count - 1), max_size=count // 2))
        self.picker: Picker[str] = Picker(
            count, Rng(seed), held=set_of(self.held), wanted=set_of(self.wanted), order=order
        )
        self.has: dict[str, set[int]] = {}
        self.barred: dict[str, set[int]] = {}
        self.asked: dict[int, list[str]] = {}
        self.arrived: dict[int, str] = {}

    def units(self, data: st.DataObject) -> set[int]:
        return data.draw(st.sets(st.integers(0, self.count - 1)))

    @property
    def missing(self) -> set[int]:
        return self.wanted - self.held - set(self.asked) - set(self.arrived)

    def rarity(self, unit: int) -> int:
        return sum(unit in units for units in self.has.values())

    def forget(self, source: str, unit: int) -> None:
        if source in self.asked.get(unit, ()):
            self.asked[unit].remove(source)
            if not self.asked[unit]:
                del self.asked[unit]

    @rule(source=SOURCES, data=st.data())
    def add_or_remove(self, source: str, data: st.DataObject) -> None:
        if source in self.has:
            self.picker.remove(source)
            del self.has[source], self.barred[source]
            for unit in list(self.asked):
                self.forget(source, unit)
        else:
            self.has[source], self.barred[source] = self.units(data), set()
            self.picker.add(source, set_of(self.has[source]))

    @precondition(lambda self: self.has)
    @rule(data=st.data())
    def tells(self, data: st.DataObject) -> None:
        source = data.draw(st.sampled_from(sorted(self.has)))
        new = self.units(data)
        self.picker.has(source, set_of(new))
        self.has[source] |= new - self.barred[source]

    @precondition(lambda self: self.has)
    @rule(data=st.data(), most=st.integers(0, 12))
    def pick(self, data: st.DataObject, most: int) -> None:
        source = data.draw(st.sampled_from(sorted(self.has)))
        usable = self.missing & self.has[source]
        copies = sum(source in sources[1:] for sources in self.asked.values())
        few = len(self.held) < RANDOM_FIRST
        picked = self.picker.pick(source, most)

        assert len(picked) == len(set(picked)) <= most
        normal = picked[: len(usable)]
        assert set(normal) <= usable
        assert len(normal) == min(most, len(usable))
        left = usable - set(normal)
        if self.picker.order is Order.SEQUENTIAL:
            assert normal == sorted(usable)[:most]
        elif not few:
            rarities = [self.rarity(unit) for unit in normal]
            assert rarities == sorted(rarities)
            assert not left or not rarities or rarities[-1] <= min(map(self.rarity, left))
        for unit in normal:
            self.asked[unit] = [source]
        again = picked[len(usable) :]
        if again:
            somebody = set().union(*self.has.values())
            assert not self.missing & somebody
            assert copies + len(again) <= ENDGAME_UNITS
        for unit in again:
            assert unit in self.has[source]
            assert source not in self.asked[unit]
            self.asked[unit].append(source)
            assert len(self.asked[unit]) <= ENDGAME_COPIES

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def comes(self, data: st.DataObject) -> None:
        unit = data.draw(st.sampled_from(sorted(self.asked)))
        source = data.draw(st.sampled_from(self.asked[unit]))
        assert self.picker.arrived(source, unit) == [other for other in self.asked[unit] if other != source]
        del self.asked[unit]
        self.arrived[unit] = source

    @precondition(lambda self: self.has)
    @rule(data=st.data(), unit=st.integers(-1, 41))
    def comes_unasked(self, data: st.DataObject, unit: int) -> None:
        source = data.draw(st.sampled_from(sorted(self.has)))
        others = self.picker.arrived(source, unit)
        if not 0 <= unit < self.count or unit in self.held or unit in self.arrived:
            assert others is None
        else:
            assert others == [other for other in self.asked.pop(unit, []) if other != source]
            self.arrived[unit] = source

    @precondition(lambda self: self.arrived)
    @rule(data=st.data(), how=st.sampled_from(["right", "right", "wrong", "disk"]))
    def checked(self, data: st.DataObject, how: str) -> None:
        unit = data.draw(st.sampled_from(sorted(self.arrived)))
        source = self.arrived.pop(unit)
        if how == "right":
            self.picker.verified(unit)
            self.held.add(unit)
        elif how == "disk":
            self.picker.lost(unit)
        else:
            self.picker.wrong(source, unit)
            if source in self.has:
                self.has[source].discard(unit)
                self.barred[source].add(unit)

    @rule(data=st.data())
    def claimed(self, data: st.DataObject) -> None:
        units = self.units(data)
        expected = units & self.missing
        assert self.picker.claim(set_of(units)) == set_of(expected)
        self.arrived |= dict.fromkeys(expected, "nobody")

    @precondition(lambda self: "nobody" in self.arrived.values())
    @rule(good=st.booleans())
    def claims_end(self, good: bool) -> None:
        units = {unit for unit, source in self.arrived.items() if source == "nobody"}
        for unit in units:
            del self.arrived[unit]
        if good:
            self.picker.kept(set_of(units))
            self.held |= units
        else:
            self.picker.given_up(set_of(units))

    @precondition(lambda self: self.has)
    @rule(data=st.data(), how=st.sampled_from(["release", "refused", "put back"]))
    def not_coming(self, data: st.DataObject, how: str) -> None:
        source = data.draw(st.sampled_from(sorted(self.has)))
        mine = [unit for unit, sources in self.asked.items() if source in sources]
        if how == "release":
            assert sorted(self.picker.release(source)) == sorted(mine)
            for unit in mine:
                self.forget(source, unit)
        elif mine:
            unit = data.draw(st.sampled_from(mine))
            self.forget(source, unit)
            if how == "refused":
                self.picker.refused(source, unit)
                self.has[source].discard(unit)
            else:
                self.picker.put_back(source, unit)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def disk_loses_one(self, data: st.DataObject) -> None:
        unit = data.draw(st.sampled_from(sorted(self.held)))
        self.picker.lost(unit)
        self.held.discard(unit)

    @rule(data=st.data())
    def want(self, data: st.DataObject) -> None:
        self.wanted = self.units(data)
        expected = [(s, unit) for unit, sources in self.asked.items() if unit not in self.wanted for s in sources]
        assert sorted(self.picker.want(set_of(self.wanted))) == sorted(expected)
        for source, unit in expected:
            self.forget(source, unit)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "picker"):
            return
        picker = self.picker
        assert picker.held == set_of(self.held)
        assert picker.finished == (self.wanted <= self.held)
        assert picker._missing == set_of(self.missing)
        assert [picker.copies(unit) for unit in range(self.count)] == [self.rarity(u) for u in range(self.count)]
        assert picker.available == set_of(set().union(*self.has.values())) if self.has else not picker.available
        for source in self.has:
            assert set(picker.asked_of(source)) == {unit for unit, sources in self.asked.items() if source in sources}
            assert picker._sources[source].copies == sum(source in sources[1:] for sources in self.asked.values())
            assert picker.interesting(source) == bool(self.has[source] & (self.wanted - self.held))


TestPicker = PickerMachine.TestCase


@given(st.integers(0, 2**48), st.integers(1, 120), st.integers(1, 6), st.sampled_from(Order))
def test_a_download_ends_whatever_sources_do_as_long_as_one_is_honest(
    seed: int, count: int, sources: int, order: Order
) -> None:
    """Sources stall, send rubbish, come and go; number 0 has everything and sends it in the end."""
    rng = Rng(seed)
    picker: Picker[int] = Picker(count, rng, order=order)
    for source in range(sources):
        picker.add(source, bits.all_of(count) if source == 0 else rng.u64() & rng.u64() << rng.below(count))
    asked = 0
    rubbish: set[tuple[int, int]] = set()
    for _ in range(100 * count):
        if picker.finished:
            break
        source = rng.below(sources)
        asked += len(picker.pick(source, 1 + rng.below(8)))
        waiting = picker.asked_of(source)
        if not waiting:
            continue
        unit = waiting[0]
        match 0 if source == 0 else rng.below(5):
            case 1:
                picker.release(source)
            case 2:
                assert (source, unit) not in rubbish, "asked again for what it sent wrong"
                rubbish.add((source, unit))
                assert picker.arrived(source, unit) is not None
                picker.wrong(source, unit)
            case _:
                assert picker.arrived(source, unit) is not None
                picker.verified(unit)
    assert picker.finished
    assert picker.held == bits.all_of(count)


def test_a_single_slow_source_does_not_hold_up_the_end() -> None:
    picker: Picker[str] = Picker(20, Rng(1))
    for source in ("slow", "fast"):
        picker.add(source, bits.all_of(20))
    stuck = picker.pick("slow", 16)
    while units := picker.pick("fast", 4):
        for unit in units:
            others = picker.arrived("fast", unit)
            assert others == (["slow"] if unit in stuck else [])
            picker.verified(unit)
    assert picker.finished
    assert picker.asked_of("slow") == []


def test_the_end_begins_with_what_comes_last() -> None:
    picker: Picker[str] = Picker(8, Rng(1), order=Order.SEQUENTIAL)
    for source in ("a", "b"):
        picker.add(source, bits.all_of(8))
    assert picker.pick("a", 8) == list(range(8))
    assert picker.pick("b", 8) == [7, 6, 5, 4]
    assert picker.pick("b", 8) == []


def test_first_units_are_random_ones() -> None:
    firsts = set()
    for seed in range(50):
        picker: Picker[str] = Picker(1000, Rng(seed))
        picker.add("a", bits.all_of(1000))
        picker.add("b", 1 << 7)
        firsts.add(picker.pick("a", 1)[0])
    assert len(firsts) > 40


def test_what_it_sent_wrong_is_never_asked_of_it_again_whatever_it_says() -> None:
    picker: Picker[str] = Picker(1, Rng(1))
    picker.add("liar", 1)
    assert picker.pick("liar", 1) == [0]
    picker.arrived("liar", 0)
    picker.wrong("liar", 0)
    picker.has("liar", 1)
    assert picker.pick("liar", 1) == []
    assert picker.copies(0) == 0
    picker.add("honest", 1)
    assert picker.pick("honest", 1) == [0]


def test_nothing_is_asked_twice_while_something_is_left() -> None:
    picker: Picker[str] = Picker(6, Rng(1), order=Order.SEQUENTIAL)
    picker.add("a", bits.all_of(6))
    picker.add("b", 1)
    assert picker.pick("a", 5) == [0, 1, 2, 3, 4]
    assert picker.pick("b", 1) == []
    assert picker.pick("a", 1) == [5]
    assert picker.pick("b", 1) == [0]
