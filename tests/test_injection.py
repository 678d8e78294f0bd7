"""Strike words say which mask is loaded when: lists, times, merged flips, stuck bits said again layer by layer."""

import accelerators
import literal_network
import numpy as np
import pytest

from hardpoint import injection
from hardpoint.array import Array, Guard, Recompute
from hardpoint.faults import EFFECTS, FAULT, PERMANENT, SITES, UNIT_ROW
from hardpoint.injection import FLIP, FORCE, KEEP, LISTS, Strikes
from hardpoint.mapping import Tiling
from hardpoint.program import weight_place

NETWORK = accelerators.plain_network(np.random.default_rng(0)).with_important([[0, 9], [2]])


def strike(**record: object) -> np.ndarray:
    fault = np.zeros(1, FAULT)
    for key, value in record.items():
        fault[key] = SITES.index(value) if key == "site" else EFFECTS.index(value) if key == "effect" else value
    if fault["effect"][0] and "end_image" not in record:
        for name, value in zip(("end_image", "end_layer", "end_tile", "end_step"), PERMANENT, strict=True):
            fault[name] = value
    return fault


def read(words: np.ndarray, images: int, layers: int) -> dict[tuple[int, int, str], list[tuple[int, ...]]]:
    """Strikes (when, kind, site, copy, row, col, mask) by image, layer and list; the blocks must fit exactly."""
    found, block = {}, 0
    for image in range(images):
        at, end = block + 1, block + int(words[block])
        for layer in range(layers):
            for name in LISTS:
                count = int(words[at])
                pairs = words[at + 1 : at + 1 + 2 * count].reshape(-1, 2).tolist()
                rows = [
                    (
                        low & (1 << 48) - 1,
                        low >> 48 & 3,
                        low >> 50 & 7 | (low >> 55 & 1) << 3,
                        low >> 53 & 3,
                        high >> 40 & 255,
                        high >> 48 & 255,
                        high & (1 << 40) - 1,
                    )
                    for low, high in pairs
                ]
                assert rows == sorted(rows, key=lambda row: row[0])
                if rows:
                    found[image, layer, name] = rows
                at += 1 + 2 * count
        assert at == end
        block = end
    assert block == len(words)
    return found


def words(array: Array, *faults: np.ndarray, images: int = 2, first: int = 0) -> dict:
    return read(Strikes(array, NETWORK).words(np.concatenate(faults), first, images), images, 2)


def test_every_site_has_its_list_and_time() -> None:
    array = Array(3, 2, recompute=Recompute(4))
    unit = UNIT_ROW
    tiling = Tiling.of(NETWORK.gemm(0), array)
    found = words(
        array,
        strike(tile=2, step=5, row=1, site="acc", bit=7),
        strike(tile=2, step=5, row=1, site="acc", bit=9),
        strike(tile=1, step=4, row=unit, col=1, site="act", bit=3),
        strike(tile=1, step=5, row=unit, site="drain", bit=23),
        strike(tile=1, row=unit, site="index", bit=20),
        strike(image=1, step=33, site="abuf", bit=1),
        strike(image=1, step=34, site="obuf", bit=2),
        strike(image=1, step=19, site="wbuf", bit=4),
        strike(image=1, layer=1, step=19, site="wbuf", bit=5),
        strike(image=1, layer=1, step=19, site="wbuf", bit=5),
    )
    assert found == {
        (0, 0, "core"): [(2 * 18 + 5, FLIP, 5, 0, 1, 0, 1 << 7 | 1 << 9)],
        (0, 0, "unit"): [(1 * 6 + 4, FLIP, 0, 0, unit, 1, 1 << 3), (1 * 6 + 5, FLIP, 6, 0, unit, 0, 1 << 23)],
        (0, 0, "index"): [(1, FLIP, 7, 0, unit, 0, 1 << 20)],
        (1, 0, "abuf"): [(33, FLIP, 9, 0, 0, 0, 1 << 1)],
        (1, 0, "obuf"): [(34, FLIP, 10, 0, 0, 0, 1 << 2)],
        (1, 0, "wbuf"): [(weight_place(tiling, 3, 4), FLIP, 8, 0, 0, 0, 1 << 4)],
        (1, 1, "wbuf"): [(found[1, 1, "wbuf"][0][0], FLIP, 8, 0, 0, 0, 0)],
    }  # two flips of one bit cancel


def test_stuck_bits_are_said_again_in_every_layer() -> None:
    array = Array(3, 2, recompute=Recompute(4), dataflow="ws", depth=16)
    period = Tiling.of(NETWORK.gemm(0), array).period
    ends = {"end_layer": 0, "end_tile": 1, "end_step": 2}
    found = words(
        array,
        strike(layer=1, row=2, site="acc", bit=3, effect="stuck1"),
        strike(
            tile=1,
            step=3,
            row=0,
            site="mul",
            bit=3,
            effect="stuck0",
            end_image=0,
            end_layer=0,
            end_tile=4,
            end_step=9999,
        ),
        strike(
            tile=0, step=2, row=UNIT_ROW, site="carry", copy=0, bit=0, effect="stuck1"
        ),  # no such bit without a guard
        strike(tile=0, step=2, row=UNIT_ROW, site="index", bit=2, effect="stuck1", end_image=1, **ends),
    )
    ones = (1 << 40) - 1
    assert found == {
        (0, 0, "core"): [
            (period + 3, KEEP, 2, 0, 0, 0, ones & ~8), (period + 3, FORCE, 2, 0, 0, 0, 0),
            (5 * period, KEEP, 2, 0, 0, 0, ones), (5 * period, FORCE, 2, 0, 0, 0, 0),
        ],
        (0, 1, "core"): [(0, KEEP, 5, 0, 2, 0, ones), (0, FORCE, 5, 0, 2, 0, 8), *found[0, 1, "core"][2:]],
        (0, 0, "index"): [
            (1, KEEP, 7, 0, UNIT_ROW, 0, ones), (1, FORCE, 7, 0, UNIT_ROW, 0, 4),
            (2, KEEP, 7, 0, UNIT_ROW, 0, ones), (2, FORCE, 7, 0, UNIT_ROW, 0, 0),
        ],
        (0, 1, "index"): [
            (0, KEEP, 7, 0, UNIT_ROW, 0, ones), (0, FORCE, 7, 0, UNIT_ROW, 0, 4),
            (1, KEEP, 7, 0, UNIT_ROW, 0, ones), (1, FORCE, 7, 0, UNIT_ROW, 0, 0),
        ],
        (1, 0, "core"): [(0, KEEP, 5, 0, 2, 0, ones), (0, FORCE, 5, 0, 2, 0, 8), *found[1, 0, "core"][2:]],
        (1, 1, "core"): [(0, KEEP, 5, 0, 2, 0, ones), (0, FORCE, 5, 0, 2, 0, 8), *found[1, 1, "core"][2:]],
        (1, 0, "index"): [
            (0, KEEP, 7, 0, UNIT_ROW, 0, ones), (0, FORCE, 7, 0, UNIT_ROW, 0, 4),
            (2, KEEP, 7, 0, UNIT_ROW, 0, ones), (2, FORCE, 7, 0, UNIT_ROW, 0, 0),
        ],
    }  # fmt: skip


def test_what_ecc_leaves_is_struck() -> None:
    array = Array(3, 2, ecc=True)
    one, other = strike(step=9, site="abuf", bit=1), strike(step=8, site="abuf", bit=7)
    check = strike(step=1, site="abuf", copy=1, bit=0)
    assert words(array, one) == words(array, check) == {}
    mark = (8, FLIP, 9, 1, 0, 0, 1)
    assert words(array, one, other) == {
        (0, 0, "abuf"): [(8, FLIP, 9, 0, 0, 0, 1 << 7), mark, (9, FLIP, 9, 0, 0, 0, 1 << 1)]
    }
    assert words(array, one, check) == {(0, 0, "abuf"): [mark, (9, FLIP, 9, 0, 0, 0, 1 << 1)]}


@pytest.mark.parametrize("seed", range(6))
def test_what_is_struck_after_ecc_gives_the_same_codes(seed: int) -> None:
    """Flips as the words say them, without ECC, do what the list does with it."""
    rng, x = np.random.default_rng(seed), np.random.default_rng(seed).integers(0, 256, (3, 5, 5, 2))
    array, bare = Array(3, 2, ecc=True), Array(3, 2)
    faults = literal_network.random_faults(rng, array, NETWORK, 3, 60, stuck=0)
    faults = faults[faults["site"] > SITES.index("index")]
    outputs, due = literal_network.run(NETWORK, array, x, faults)
    records = injection.decoded(faults, NETWORK)
    left = records[records["copy"] == 0]
    assert (literal_network.run(NETWORK, bare, x, left)[0] == outputs).all()
    assert set(records["image"][records["copy"] == 1].tolist()) == set(np.flatnonzero(due).tolist())


def test_images_are_cut_out() -> None:
    array = Array(3, 2, (Guard(12),))
    faults = [strike(image=i, tile=i, site="acc", copy=1, bit=14) for i in range(4)]
    found = words(array, *faults, first=2, images=2)
    assert {key[0]: rows[0][0] for key, rows in found.items()} == {0: 2 * 18, 1: 3 * 18}
