"""Fault maps: what is refused, what bypass takes out, patterns, yield models and tables."""

import dataclasses
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import small_network
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.array import Array
from hardpoint.defects import PATTERNS, Yield, fleet, from_table, load_maps, pattern, with_stuck_bits
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, StuckBit, mask, masked, masks, union
from hardpoint.fixed import Fixed
from hardpoint.layers import Conv, Gemm
from hardpoint.network import Network


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: FaultMap(4, 4, ((0, 0), (0, 0))), "fault map: PE (0, 0) is listed twice"),
        (lambda: FaultMap(4, 4, ((-1, 0),)), "fault map: PE (-1, 0) lies outside the array of 4 x 4 PEs"),
        (lambda: FaultMap(1, 2, ((0, 0), (0, 1))), "fault map: all 2 PEs are faulty, none is left to compute with"),
        (lambda: FaultMap(0, 4), "fault map: array rows must be a whole number from 1 to 64, not 0"),
        (lambda: FaultMap(4, 4, ((0, 1.5),), chip="x"), "fault map x: a faulty PE is a row and a column, not (0, 1.5)"),
        (lambda: FaultMap(4, 4, ("ab",)), "fault map: a faulty PE is a row and a column, not 'ab'"),
        (
            lambda: StuckBit(0, 0, "mull", 0, 0, 1),
            "a stuck bit's site is one of act, wgt, mul, carry, vote, acc, drain, not 'mull'",
        ),
        (lambda: StuckBit(0, 0, "mul", 0, 0, 2), "a stuck bit's value must be a whole number from 0 to 1, not 2"),
        (
            lambda: FaultMap(4, 4, (), (StuckBit(0, 0, "mul", 0, 3, 0), StuckBit(0, 0, "mul", 0, 3, 1))),
            "fault map: a bit is stuck at 0 and at 1",
        ),
        (lambda: union([FaultMap(4, 4), FaultMap(4, 5)]), "fault maps of 4 x 4 and 4 x 5 PEs cannot be fused"),
        (
            lambda: union([FaultMap(1, 2, ((0, 0),)), FaultMap(1, 2, ((0, 1),))]),
            "fault map +: all 2 PEs are faulty, none is left to compute with",
        ),
        (lambda: FaultMap(4, 4, chip="x").check(Array(4, 8)), "fault map x is of 4 x 4 PEs, the array has 4 x 8"),
        (
            lambda: pattern("diagonal", 4, 4, 2, 0),
            "a pattern of faulty PEs is uniform, clustered, rows, columns, not 'diagonal'",
        ),
        (lambda: pattern("uniform", 4, 4, 16, 0), "faulty PEs must be 0 to 15 of 4 x 4, not 16"),
        (
            lambda: fleet("uniform", 4, 4, 3, 0, (0.3, 0.2)),
            "PE fault rates must rise from 0 to below 1, not 0.3 to 0.2",
        ),
    ],
)
def test_a_bad_map_gets_one_clear_line(made, message: str) -> None:
    with pytest.raises(InputError) as error:
        made()
    assert str(error.value) == message


def test_files_come_back_and_unknown_keys_do_not(tmp_path: Path) -> None:
    chip = with_stuck_bits(pattern("clustered", 8, 8, 7, seed=3), seed=4)
    chip.save(tmp_path / "a.json")
    assert FaultMap.load(tmp_path / "a.json") == chip
    table = json.loads((tmp_path / "a.json").read_text())
    for change, message in (
        ({"colour": 1}, "fault map has no key 'colour'"),
        ({"format": "x"}, "its format is not 'hardpoint fault map 1'"),
        ({"stuck": [{"row": 1}]}, "it is no fault map"),
        ({"faulty": 3}, "it is no fault map"),
        ({"rows": "8"}, "must be a whole number"),
    ):
        (tmp_path / "b.json").write_text(json.dumps({**table, **change}))
        with pytest.raises(InputError, match=message):
            FaultMap.load(tmp_path / "b.json")


def test_bypass_takes_what_stuck_operands_feed_and_refuses_stuck_partial_sums() -> None:
    chip = FaultMap(3, 4, ((2, 3),), (StuckBit(0, 2, "act", 0, 1, 1), StuckBit(1, 0, "wgt", 0, 1, 0)), "c")
    assert np.argwhere(chip.bypass).tolist() == [[0, 2], [0, 3], [1, 0], [2, 0], [2, 3]]
    broken = dataclasses.replace(chip, stuck=(*chip.stuck, StuckBit(1, 1, "acc", 0, 5, 1)))
    assert broken.retired_cols == (1,)
    with pytest.raises(InputError, match=r"fault map c: column 1 has a stuck partial-sum register"):
        mask(Gemm(1, 3, 4), broken)
    left = broken.without_retired()
    assert (left.rows, left.cols, left.faulty) == (3, 3, ((0, 1), (1, 0), (2, 2)))
    assert broken.relieved([(1, 1), (2, 3)]).faulty == ((0, 2), (1, 0))


def test_stuck_bits_become_fault_records_without_end() -> None:
    chip = FaultMap(2, 2, (), (StuckBit(1, 0, "mul", 0, 23, 1),))
    (record,) = chip.faults(Array(2, 2))
    assert (record["row"], record["col"], record["site"], record["bit"], record["effect"]) == (1, 0, 2, 23, 2)
    assert record["end_image"] == 0xFFFFFFFF


@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_weight_survives_unless_its_pe_is_bypassed(k: int, n: int, rows: int, cols: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, rows * cols - 1))
    chip = pattern("uniform", rows, cols, count, seed=7)
    keep = mask(Gemm(1, k, n), chip)
    for i in range(k):
        for j in range(n):
            assert keep[i, j] == ((i % rows, j % cols) not in chip.faulty)


def test_masks_have_the_shape_of_the_weights_also_depthwise() -> None:
    u8, s8 = Fixed.parse("u8.8"), Fixed.parse("s8.7")
    rng = np.random.default_rng(0)
    depthwise = Conv("d", "input", rng.integers(1, 99, (3, 3, 5, 1)), np.zeros(5), 3, u8, s8, depthwise=True)
    network = Network((5, 5, 5), u8, (depthwise,))
    chip = FaultMap(4, 2, ((1, 1),))  # window places 1 and 5 of the odd channels
    (keep,) = masks(network, chip)
    assert np.argwhere(~keep[..., 0]).tolist() == [[0, 1, 1], [0, 1, 3], [1, 2, 1], [1, 2, 3]]
    assert [m.shape for m in masks(small_network(), chip)] == [layer.weight.shape for layer in small_network().gemms]


def test_a_masked_network_equals_one_whose_bypassed_products_are_left_out() -> None:
    network, chip = small_network(), pattern("uniform", 4, 3, 4, seed=1)
    x = np.random.default_rng(2).integers(0, 256, (3, *network.input_shape))
    conv = network.gemms[0]
    patches, weight = conv.patches(x), conv.matrix()
    sums = np.zeros((3, patches.shape[1], weight.shape[1]), np.int64)
    for k in range(weight.shape[0]):
        for n in range(weight.shape[1]):
            if (k % 4, n % 3) not in chip.faulty:
                sums[:, :, n] += patches[:, :, k] * weight[k, n]
    got = masked(network, chip).gemms[0].accumulate(x, 255)
    assert np.array_equal(got.reshape(sums.shape), sums + conv.bias)
    assert masked(masked(network, chip), chip).digest == masked(network, chip).digest != network.digest


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_have_their_count_are_seeded_and_nested(kind: str) -> None:
    maps = [pattern(kind, 12, 10, count, seed=5, chip=2) for count in (0, 1, 17, 18, 60)]
    assert [len(m) for m in maps] == [0, 1, 17, 18, 60]
    assert all(set(a.faulty) <= set(b.faulty) for a, b in pairwise(maps))
    assert pattern(kind, 12, 10, 17, seed=5, chip=2) == maps[2]
    assert pattern(kind, 12, 10, 17, seed=5, chip=3).faulty != maps[2].faulty


def test_uniform_patterns_reach_every_pe_alike_and_clusters_do_cluster() -> None:
    counts = sum(pattern("uniform", 6, 6, 9, seed=0, chip=c).mask.astype(int) for c in range(800))
    expected, sd = 800 / 4, math.sqrt(800 / 4 * 3 / 4)
    assert np.abs(counts - expected).max() < 4.5 * sd

    def neighbours(kind: str) -> float:
        masks_ = [pattern(kind, 32, 32, 51, seed=0, chip=c).mask for c in range(40)]
        return float(np.mean([(m[:, 1:] & m[:, :-1]).sum() for m in masks_]))

    assert neighbours("clustered") > 4 * neighbours("uniform")


def test_yield_models_draw_what_their_formulas_say() -> None:
    for model in ("poisson", "murphy", "negative-binomial"):
        law = Yield(model, 1.5)
        counts = np.array(law.draw(20000, seed=1))
        assert abs(counts.mean() - 1.5) < 0.06
        assert abs((counts == 0).mean() - law.fault_free) < 0.015
    assert [len(m) for m in fleet("uniform", 8, 8, 4, 0, Yield("poisson", 3.0))] == Yield("poisson", 3.0).draw(4, 0)


def test_maps_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "chips.csv"
    path.write_text("chip,row,col,site,copy,bit,value\na,0,1,,,,\na,2,2,mul,0,7,1\nb,,,,,,\n")
    a, b = from_table(path, 4, 4)
    assert (a.chip, a.faulty, a.stuck, b.chip, len(b)) == (
        "a",
        ((0, 1), (2, 2)),
        (StuckBit(2, 2, "mul", 0, 7, 1),),
        "b",
        0,
    )
    for text, message in (
        ("chip,row\na,1\n", "a fault table has columns chip, row, col"),
        ("chip,row,col\na,1\n", "line 2: it has not as many fields as the header"),
        ("chip,row,col\na,1,x\n", "line 2: row, col, copy, bit and value must be whole numbers"),
        ("chip,row,col\na,1,9\n", "fault map a: PE \\(1, 9\\) lies outside the array of 4 x 4 PEs"),
        ("chip,row,col\na,1,1\na,1,1\n", "fault map a: PE \\(1, 1\\) is listed twice"),
        ("chip,row,col\n", "lists no chip"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            from_table(path, 4, 4)


def test_a_folder_of_maps_must_fit_the_array_and_name_its_chips(tmp_path: Path) -> None:
    for chip in fleet("uniform", 4, 4, 3, seed=0):
        chip.save(tmp_path / f"{chip.chip}.json")
    assert load_maps(tmp_path, 4, 4) == fleet("uniform", 4, 4, 3, seed=0)
    with pytest.raises(InputError, match="fault map chip000 is of 4 x 4 PEs, the array has 8 x 8"):
        load_maps(tmp_path, 8, 8)
    FaultMap(4, 4, chip="chip001").save(tmp_path / "again.json")
    with pytest.raises(InputError, match="two chips are called 'chip001'"):
        load_maps(tmp_path, 4, 4)
