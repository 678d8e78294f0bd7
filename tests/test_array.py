import pytest
from conftest import small_network

from hardpoint.array import Array, Guard, Recompute, baugh_wooley_constant, carry_bits
from hardpoint.errors import InputError
from hardpoint.pe import products


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Array(8, 8, (Guard(30),)), "guard column must be 0 to 24, the width of an accumulator, not 30"),
        (lambda: Array(8, 8, (Guard(24),)), "guard column 24 guards nothing of a 24-bit accumulator; write none"),
        (lambda: Array(0, 8), "array rows must be 1 to 64, not 0"),
        (lambda: Array(8, 8, act_bits=9), "activation bits must be 2 to 8, not 9"),
        (lambda: Array(8, 8, acc_bits=12), "accumulator bits must be at least 16, the width of a product, not 12"),
        (lambda: Array(8, 8, (Guard(),) * 4), "an array has 1 to 3 guard classes, not 4"),
        (lambda: Array(2, 2, classes=(0, 1)), "guard classes must be 0 to 0, not 1"),
        (
            lambda: Array(2, 2, classes=(0,)),
            r"guard classes must be 2 numbers \(per column\) or 2 rows of them \(per PE\)",
        ),
        (lambda: Array(2, 2, dataflow="rs"), "dataflow is os or ws, not 'rs'"),
        (
            lambda: Array(2, 2, (Guard(), Guard(9)), ((0, 0), (0, 1)), dataflow="ws"),
            "a weight-stationary array has one guard class per column, as sums run through all its PEs; column 1 has 2",
        ),
        (lambda: Array(2, 2, dataflow="ws", depth=8), "words of an accumulator memory must be 16 to 4096, not 8"),
        (lambda: Guard(None, operand=True), "operand and drain guards need guarded columns"),
        (
            lambda: Guard.parse("14+voter"),
            "a guard reads like none, 14, 14\\+operand\\+drain or rpr12, not '14\\+voter'",
        ),
        (
            lambda: Array.columns_hardened(4, 4, Guard(14), 5),
            "hardened columns must be 0 to 4, the array's width, not 5",
        ),
        (
            lambda: Array(2, 2, recompute=Recompute(2, Guard(24))),
            "guard column 24 guards nothing of a 24-bit accumulator; write none",
        ),
        (lambda: Recompute(0), "a recompute unit has 1 to 64 lanes, not 0"),
    ],
)
def test_bad_arrays_are_refused(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "array",
    [
        Array(8, 8),
        Array(4, 6, (Guard(), Guard(14, True, True), Guard(0)), (0, 1, 2, 1, 0, 0)),
        Array(3, 2, (Guard(), Guard(12, kind="rpr")), (0, 1), dataflow="ws", depth=64),
        Array(2, 2, (Guard(), Guard(12)), ((0, 1), (1, 0)), 4, 3, 16, recompute=Recompute(8, Guard(10))),
    ],
)
def test_file_round_trip(array, tmp_path) -> None:
    array.save(tmp_path / "a.json")
    assert Array.load(tmp_path / "a.json") == array
    assert Array.load(tmp_path / "a.json").digest == array.digest


def test_unknown_keys_are_errors(tmp_path) -> None:
    (tmp_path / "a.json").write_text('{"format": "hardpoint array 1", "rows": 8, "cols": 8, "colums": 3}')
    with pytest.raises(InputError, match="array has no key 'colums'"):
        Array.load(tmp_path / "a.json")


def test_an_array_that_cannot_hold_a_network_names_layer_bound_and_value() -> None:
    network = small_network()
    with pytest.raises(InputError, match=r"layer conv: its activations are u8.8, the array takes at most 4 bits"):
        Array(4, 4, act_bits=4).check(network)
    with pytest.raises(InputError, match=r"layer conv: its weights are s8.7, the array takes at most 6 bits"):
        Array(4, 4, wgt_bits=6).check(network)
    with pytest.raises(InputError, match=r"layer conv: its sums need \d+ bits, the array's accumulators have 16"):
        Array(4, 4, acc_bits=16).check(network)


def test_no_operands_exceed_the_carry() -> None:
    for m, n, acc in ((8, 8, 24), (4, 4, 12), (3, 5, 12), (2, 2, 12)):
        for signed in (False, True):
            assert baugh_wooley_constant(m, n, signed) < 0
            for column in range(acc + 1):
                cw = carry_bits(m, n, column, acc)
                largest = max(
                    products(a, w, m, n, column, acc, signed)[0]
                    for a in range(0, 1 << m, max(1, (1 << m) // 16 - 1))
                    for w in range(0, 1 << n, max(1, (1 << n) // 16 - 1))
                )
                if 0 < column < acc:
                    assert (largest + (1 << column) - 1) >> column < 1 << cw


def test_products_are_exact_for_every_operand_pair() -> None:
    for m, n, acc in ((3, 4, 12), (4, 2, 12)):
        for signed in (False, True):
            for column in (0, 1, 3, 5, 8, acc):
                for a in range(1 << m):
                    for w in range(1 << n):
                        low, high = products(a, w, m, n, column, acc, signed)
                        value = (a - ((a >> (m - 1)) << m) * signed) * (w - ((w >> (n - 1)) << n))
                        assert (low + (high << column) - value) % (1 << acc) == 0
