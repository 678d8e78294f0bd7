"""The array between streams, as it enters a bitstream: whatever pauses, and whichever PEs are bypassed."""

from __future__ import annotations

from pathlib import Path

import cases
import literal
import numpy as np
import pytest
from test_rtl import gemm

from hardpoint.array import Array, Guard
from hardpoint.hls import schedule, verilate
from hardpoint.host.compiled import CompiledCore

BUILD = Path(__file__).resolve().parents[1] / "build" / "devices"
ARRAYS = {
    "os": Array(2, 3, (Guard(), Guard(14)), (0, 1, 0)),
    "ws": Array(3, 2, (Guard(), Guard(14)), (0, 1), dataflow="ws", depth=16),
}


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize("name", ARRAYS)
def test_streams_come_out_as_they_should_with_any_bypass_map(name: str, stalls: bool) -> None:
    array = ARRAYS[name]
    core = CompiledCore(verilate.build(array, BUILD, shell=False, engine=True, stalls=stalls))
    rng = np.random.default_rng(0)
    for tiles, k, signed in ((1, 1, True), (5, 1, False), (4, 7, True), (3, 2, False)):
        a, w = cases.random_operands(tiles, array, tiles, k, signed)
        bypass = rng.random((array.rows, array.cols)) < 0.3
        sums, cycles, votes = gemm(core, array, a, w, signed, bypass=bypass)
        assert np.array_equal(sums, literal.run(array, a, w, signed, bypass=bypass))
        assert (cycles, votes) == (schedule.cycles(array, tiles, k), 0)
