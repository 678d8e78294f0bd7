import numpy as np
import pytest
from conftest import small_network
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.array import Array, Guard
from hardpoint.draw import draw
from hardpoint.errors import InputError
from hardpoint.faults import FAULT, SITES, FaultList, decode, live, population, streams

ARRAYS = (
    Array(4, 4),
    Array(4, 4, (Guard(14),)),
    Array(3, 4, (Guard(), Guard(12, True, True), Guard(10)), (0, 1, 2, 1)),
    Array(2, 3, (Guard(0, True, True), Guard(20)), ((0, 1, 0), (1, 0, 1))),
)


@pytest.mark.parametrize("array", ARRAYS)
def test_population_counts_exactly_the_live_indices(array) -> None:
    network = small_network()
    counted = dict.fromkeys(SITES, 0)
    for layer in range(len(network.gemms)):
        for stream in streams(array, network, layer):
            every = decode(stream, np.arange(stream.size, dtype=np.uint64), array)
            counted[SITES[stream.site]] += int(live(every, array, network).sum())
    assert counted == population(array, network, buffers=True)


@given(st.integers(0, 3), st.integers(0, 2**64 - 1), st.floats(1e-5, 0.02))
def test_faults_of_an_image_do_not_depend_on_the_batch(which, seed, ber) -> None:
    network, array = small_network(), ARRAYS[which]
    batch = draw(array, network, 4, ber, seed).faults
    for image in (0, 3):
        alone = draw(array, network, [image], ber, seed).faults
        assert (alone == batch[batch["image"] == image]).all()


def test_designs_of_one_size_share_their_draws() -> None:
    network = small_network()
    plain = draw(Array(4, 4), network, 8, 1e-3, 5).faults
    guarded = draw(Array(4, 4, (Guard(14),)), network, 8, 1e-3, 5).faults
    shared = guarded[(guarded["copy"] == 0) & ~np.isin(guarded["site"], [SITES.index("carry"), SITES.index("vote")])]
    assert len(plain) > 100
    assert (plain == shared).all()


def test_rate_matches_the_population() -> None:
    network, array = small_network(), ARRAYS[2]
    images, ber = 400, 2e-4
    expected = sum(population(array, network).values()) * ber * images
    found = len(draw(array, network, images, ber, 11))
    assert abs(found - expected) < 4 * expected**0.5


def test_certain_faults_strike_every_live_bit() -> None:
    network, array = small_network(size=4, filters=2, outputs=2), Array(2, 2, (Guard(20),))
    assert len(draw(array, network, 1, 1.0, 0)) == sum(population(array, network).values())


def test_weights_scale_site_classes() -> None:
    network, array = small_network(), Array(4, 4)
    drawn = draw(array, network, 20, 1e-3, 0, weights={"mul": 0.0, "acc": 2.0})
    plain = draw(array, network, 20, 1e-3, 0)
    count = lambda faults, site: int((faults.faults["site"] == SITES.index(site)).sum())  # noqa: E731
    assert count(drawn, "mul") == 0
    assert count(drawn, "wgt") == count(plain, "wgt")
    assert count(drawn, "acc") > 1.5 * count(plain, "acc")
    assert "acc=2, mul=0" in drawn.convention


def test_file_round_trip(tmp_path) -> None:
    network = small_network()
    drawn = draw(ARRAYS[2], network, 3, 1e-3, 1)
    drawn.save(tmp_path / "f.npz")
    again = FaultList.load(tmp_path / "f.npz")
    assert again.digest == drawn.digest
    assert again.population == drawn.population
    again.check(ARRAYS[2], network)
    with pytest.raises(InputError, match="the fault list was made for array"):
        again.check(ARRAYS[0], network)


def test_a_record_that_strikes_nothing_is_refused() -> None:
    network, array = small_network(), Array(4, 4)
    fault = np.zeros(1, FAULT)
    fault["site"], fault["bit"], fault["copy"] = SITES.index("acc"), 20, 1
    with pytest.raises(InputError, match=r"fault 0 strikes no live bit: flip of acc copy 1 bit 20 of PE \(0, 0\)"):
        FaultList.of(fault, array, network, 1)


@pytest.mark.parametrize("ber", [-1e-9, 1.5, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(ber) -> None:
    with pytest.raises(InputError, match="a BER is a probability"):
        draw(Array(4, 4), small_network(), 1, ber, 0)
