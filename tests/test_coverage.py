"""Which arrays the shipped table prices: what is said beforehand is what composing the cost asks for."""

from __future__ import annotations

import dataclasses
import random

import pytest

from hardpoint.array import Array, Guard, Recompute
from hardpoint.hls import cost, coverage
from hardpoint.hls.coverage import lacking, parts_of
from hardpoint.hls.parts import Part, Price, delay

pytestmark = pytest.mark.pc


def asked_for(array: Array, monkeypatch: pytest.MonkeyPatch) -> set[Part]:
    """The parts whose price `array_cost` asks for, delay lines aside."""
    asked: set[Part] = set()

    def price(part: Part) -> Price:
        asked.add(part)
        return Price(10**6, 10**6) if part.kind == "frame" else Price(1000, 1000, 0, 10, 10)

    monkeypatch.setattr(cost, "price", price)
    monkeypatch.setattr(cost, "_without_unit", cost._without_unit.__wrapped__)  # keeps no price of these
    cost.array_cost(array)
    return {part for part in asked if part.module != delay(1).module}


def arrays() -> list[Array]:
    found = [
        Array(8, 8),
        Array(4, 16, (Guard(),), dsp=True),
        Array.columns_hardened(8, 8, Guard(14, True, True), 3, recompute=Recompute(8, Guard(12))),
        Array(5, 7, (Guard(16, operand=True), Guard(0, True)), (1, 1, 0, 0, 0, 0, 0), dataflow="ws"),
        Array(1, 1),
        Array.columns_hardened(16, 4, Guard(14, kind="rpr"), 2, policy="configurable", headroom=2),
    ]
    for seed in range(12):
        rng = random.Random(seed)
        rows, cols = rng.randint(1, 9), rng.randint(1, 9)
        classes = tuple(tuple(rng.choice((0, 0, 0, 1, 2)) for _ in range(cols)) for _ in range(rows))
        found.append(Array(rows, cols, (Guard(), Guard(14, True, True), Guard(12)), classes))
    return found


@pytest.mark.parametrize("array", arrays())
def test_parts_are_those_that_a_cost_asks_for(array: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parts_of(dataclasses.replace(array, taps=False)) == asked_for(array, monkeypatch)


def test_what_the_table_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lacking(Array(8, 8, (Guard(14),)))
    one = next(iter(parts_of(Array(8, 8, (Guard(14),), taps=False))))
    monkeypatch.setattr(coverage, "_shipped", lambda: frozenset({str(one)}))
    assert set(lacking(Array(8, 8, (Guard(14),)))) == parts_of(Array(8, 8, (Guard(14),), taps=False)) - {one}
