"""Draws depend on their keys alone, hit what they should as often as they should, and are the same compiled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardpoint.array import Array, Guard, Recompute
from hardpoint.draw import Plan, draw, draw_count, draw_single
from hardpoint.errors import InputError
from hardpoint.faults import FAULT, SITES, FaultList, decode, live, population, streams
from hardpoint.fixed import Fixed
from hardpoint.host import drawing
from hardpoint.layers import Conv, Dense
from hardpoint.network import Network
from hardpoint.streams import log, philox

ARRAYS = (
    Array(3, 4),
    Array(3, 4, (Guard(14, operand=True, drain=True),)),
    Array.columns_hardened(3, 4, Guard(10, drain=True), 1, acc_bits=20),
    Array(5, 2, (Guard(), Guard(7), Guard(0, operand=True)), ((0, 1), (2, 0), (1, 1), (0, 0), (2, 2))),
    Array(2, 3, (Guard(12, kind="rpr"), Guard(), Guard(31)), (0, 1, 2), acc_bits=32),
    Array(3, 4, dataflow="ws", depth=16),
    Array(4, 3, (Guard(9, operand=True), Guard(), Guard(11, kind="rpr")), (0, 1, 2), dataflow="ws", depth=16),
    Array(5, 2, (Guard(0, True, True), Guard(22)), (1, 0), dataflow="ws"),
    Array(3, 2, recompute=Recompute(3, Guard(14, drain=True)), ecc=True),
    Array(3, 2, (Guard(8),), recompute=Recompute(7, Guard(0, operand=True)), dataflow="ws"),
    Array(2, 2, acc_bits=32, recompute=Recompute(64, Guard(31))),
    Array(2, 2, recompute=Recompute(1)),
)
BUFFERED = {"wbuf": 1.0, "abuf": 1.0, "obuf": 1.0}


def network() -> Network:
    rng = np.random.default_rng(1)
    u8, s8 = Fixed(8, 8, False), Fixed(8, 7, True)
    conv = Conv("c", "input", rng.integers(-9, 9, (2, 2, 2, 5)), np.zeros(5, int), 4, u8, s8, relu=True)
    deep = Conv("w", "c", rng.integers(-9, 9, (2, 1, 5, 1)), np.zeros(5, int), 4, s8, s8, pad=(1, 0, 0, 0), depthwise=True)
    layers = (conv, deep, Dense("d", "w", rng.integers(-9, 9, (60, 3)), np.zeros(3, int), 4, s8, s8))
    return Network((5, 4, 2), u8, layers).with_important([[0, 59, 7], [], [1]])


NETWORK = network()


def everything(array: Array) -> np.ndarray:
    """Every live site bit and step of one image, by going through all indices."""
    parts = []
    for layer in range(3):
        for stream in streams(array, NETWORK, layer):
            parts.append(decode(stream, np.arange(stream.size, dtype=np.uint64), array))
    records = np.concatenate(parts)
    return records[live(records, array, NETWORK)]


@pytest.mark.parametrize("array", ARRAYS)
def test_the_population_is_what_enumeration_counts(array: Array) -> None:
    records = everything(array)
    counts = np.bincount(records["site"], minlength=len(SITES))
    assert population(array, NETWORK, buffers=True) == dict(zip(SITES, counts.tolist(), strict=True))
    for layer in range(3):
        assert sum(population(array, NETWORK, layer, buffers=True).values()) == (records["layer"] == layer).sum()
    assert len(np.unique(records)) == len(records)


@pytest.mark.pc  # every bit of a network: seconds each where nothing is compiled
@pytest.mark.parametrize("array", ARRAYS)
def test_a_ber_of_one_strikes_everything(array: Array) -> None:
    for engine in (draw, drawing.draw):
        plain = engine(array, NETWORK, 1, 1.0, 5)
        assert len(plain) == sum(population(array, NETWORK).values()) == sum(plain.population.values())
        faults = engine(array, NETWORK, 1, 1.0, 5, weights=BUFFERED)
        assert len(faults) == sum(population(array, NETWORK, buffers=True).values()) == sum(faults.population.values())
        assert (faults.faults == FaultList.of(everything(array), array, NETWORK, 1).faults).all()


@pytest.mark.pc  # on a board nothing is compiled
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ARRAYS), st.sampled_from([0, 1e-300, 1e-19, 1e-9, 1e-4, 0.02]), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1), st.booleans()
)
def test_compiled_draws_are_the_same(array: Array, ber: float, seed: int, trial: int, weighted: bool) -> None:
    weights = {"acc": 3.5, "wgt": 0.0, "obuf": 1.0, "wbuf": 0.5} if weighted else None
    a = draw(array, NETWORK, [0, 3, 70000], ber, seed, trial, weights)
    b = drawing.draw(array, NETWORK, [0, 3, 70000], ber, seed, trial, weights)
    assert a.digest == b.digest
    assert (a.images, a.seed, a.trial, a.convention) == (b.images, b.seed, b.trial, b.convention)
    fresh = FaultList.of(a.faults, array, NETWORK, a.images)
    assert (fresh.faults == a.faults).all(), "drawn lists are sorted and live"


@pytest.mark.pc  # on a board nothing is compiled
@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize(
    ("weights", "layer", "site"), [(None, None, None), ({"acc": 3.5, "wgt": 0.0, "obuf": 1.0}, None, None), (None, 1, None), (None, 2, "mul")]
)
def test_compiled_single_draws_are_the_same(array: Array, weights: dict[str, float] | None, layer: int | None, site: str | None) -> None:
    trials = [0, 7, (1 << 32) - 1, *range(1000, 3000)]
    a, b = (single(array, NETWORK, 9, trials, (1 << 64) - 3, weights, layer, site) for single in (draw_single, drawing.draw_single))
    assert a.dtype == b.dtype == FAULT
    assert (a == b).all()


def test_a_draw_does_not_depend_on_what_else_is_drawn() -> None:
    array = ARRAYS[1]
    whole = draw(array, NETWORK, 30, 1e-3, 9, 2).faults
    for part in ([4], [4, 17, 29], range(10, 20)):
        some = draw(array, NETWORK, part, 1e-3, 9, 2).faults
        assert (some == whole[np.isin(whole["image"], list(part))]).all()


def test_designs_of_one_size_share_their_draws() -> None:
    plain, guarded = (draw(array, NETWORK, 50, 1e-3, 3).faults for array in (Array(3, 4), Array(3, 4, (Guard(14),))))
    key = ["image", "layer", "tile", "step", "row", "col", "site", "copy", "bit"]
    shared = np.isin(plain[key], guarded[key])
    assert shared.all(), "copy 0 of every column exists in both designs"


def test_rates_are_binomial() -> None:
    array, ber = ARRAYS[1], 2e-3
    counts, total = np.zeros(len(SITES)), population(array, NETWORK)
    draws = 2000
    faults = drawing.draw(array, NETWORK, draws, ber, 11, weights={"mul": 2.0}).faults
    counts = np.bincount(faults["site"], minlength=len(SITES))
    for site, name in enumerate(SITES):
        mean = draws * total[name] * ber * (2 if name == "mul" else 1)
        assert abs(counts[site] - mean) <= 4.5 * np.sqrt(mean), name
    per_image = np.bincount(faults["image"], minlength=draws)
    assert 0.9 < per_image.var() / per_image.mean() < 1.1


def test_a_count_is_exact_and_uniform() -> None:
    array = ARRAYS[2]
    faults = draw_count(array, NETWORK, 300, 7, 1)
    assert (np.bincount(faults.faults["image"], minlength=300) == 7).all()
    assert len(np.unique(faults.faults)) == 2100
    total = population(array, NETWORK)
    shares = np.bincount(faults.faults["site"], minlength=len(SITES)) / 2100
    for site, name in enumerate(SITES):
        p = total[name] / sum(total.values())
        assert abs(shares[site] - p) <= 4.5 * np.sqrt(p * (1 - p) / 2100), name
    some = draw_count(array, NETWORK, [5, 299], 7, 1).faults
    assert (some == faults.faults[np.isin(faults.faults["image"], [5, 299])]).all()
    assert FaultList.of(faults.faults, array, NETWORK, 300).digest == faults.digest
    assert len(draw_count(array, NETWORK, 3, 0, 1)) == 0


def test_single_faults_are_uniform_and_keyed_by_trial() -> None:
    array = ARRAYS[3]
    faults = draw_single(array, NETWORK, 6, 20000, 4)
    assert (draw_single(array, NETWORK, 6, [77, 5], 4) == faults[[77, 5]]).all()
    assert live(faults, array, NETWORK).all()
    records = everything(array)
    records = records[records["site"] < SITES.index("wbuf")]
    for key in ("layer", "site", "row", "bit"):
        expected = np.bincount(records[key]) / len(records)
        found = np.bincount(faults[key], minlength=len(expected)) / len(faults)
        assert np.abs(found - expected).max() < 4.5 * np.sqrt(0.25 / len(faults)), key
    assert np.bincount(faults["image"]).min() > 20000 / 6 * 0.9
    stratum = draw_single(array, NETWORK, 6, 500, 4, layer=1, site="acc")
    assert set(stratum["layer"].tolist()) == {1}
    assert set(stratum["site"].tolist()) == {SITES.index("acc")}
    assert stratum.dtype == FAULT


def test_bad_input_is_named() -> None:
    array = ARRAYS[0]
    for ber in (-1e-9, 1.1, float("nan")):
        with pytest.raises(InputError, match="a BER is a probability per live site bit and step, 0 to 1, not"):
            drawing.draw(array, NETWORK, 1, ber, 1)
    with pytest.raises(InputError, match=r"there is no site class 'mac'; site classes are act, wgt, mul"):
        draw(array, NETWORK, 1, 0.1, 1, weights={"mac": 1.0})
    with pytest.raises(InputError, match=r"the weight of site class acc must be a finite number from 0, not -1"):
        draw(array, NETWORK, 1, 0.1, 1, weights={"acc": -1})
    with pytest.raises(InputError, match=r"a seed is 0 to 2\*\*64-1"):
        draw(array, NETWORK, 1, 0.1, -1)
    with pytest.raises(InputError, match="strikes per inference must be 0 to"):
        draw_count(array, NETWORK, 1, 1 << 40, 1)
    with pytest.raises(InputError, match="array layers are 0 to 2, not 3"):
        draw_single(array, NETWORK, 1, 1, 1, layer=3)
    with pytest.raises(InputError, match="there is nothing to strike in layer 0, site vote"):
        draw_single(array, NETWORK, 1, 1, 1, layer=0, site="vote")


def test_the_plan_knows_strata() -> None:
    plan = Plan.of(ARRAYS[1], NETWORK)
    parts = [plan.live_bits(BUFFERED, layer, site) for layer in range(3) for site in SITES]
    assert sum(parts) == plan.live_bits(BUFFERED) == sum(plan.population.values())
    assert plan.live_bits() == sum(population(ARRAYS[1], NETWORK).values())


def test_random_numbers_are_those_of_the_authors() -> None:
    # known answers of Random123's Philox4x32-10
    ones = 0xFFFFFFFF
    words = philox((1 << 64) - 1, (ones, ones, ones, ones))
    assert [hex(int(word)) for word in words] == ["0x41c83b0e408f276d", "0x6d5451fda20bc7c6"]
    words = philox(0x299F31D0A4093822, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344))
    assert [hex(int(word)) for word in words] == ["0x94fdccebd16cfe09", "0x24126ea15001e420"]
    x = np.random.default_rng(0).random(10000)
    assert np.abs(log(x) / np.log(x) - 1).max() < 1e-14
