"""Cycles of a network on an array: exact for array and recompute unit, a bandwidth model for what moves on and off the chip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hardpoint.array import Array
from hardpoint.hls.schedule import cycles, unit_cycles
from hardpoint.mapping import Tiling
from hardpoint.network import Network
from hardpoint.program import row_bytes, weight_rows, words_of

__all__ = ["BUS_BYTES", "LayerTime", "Timing", "timing"]

BUS_BYTES = 8
"""Bytes that the model moves per cycle: one 64-bit AXI port, never waiting."""


@dataclass(frozen=True)
class LayerTime:
    """Cycles of one image's layer: of the array, of the recompute unit beside it, and of the transfers.

    Array and unit are the closed forms that the Verilated RTL takes exactly, streams always ready. `transfer` is a
    bandwidth model: weights, inputs and outputs once each over BUS_BYTES per cycle.
    """

    name: str
    array: int
    unit: int
    transfer: int

    @property
    def least(self) -> int:
        """Cycles if double buffering hid all but the longest of the three: no layer is faster."""
        return max(self.array, self.unit, self.transfer)

    @property
    def serial(self) -> int:
        """Cycles if transfers were hidden behind nothing."""
        return max(self.array, self.unit) + self.transfer


@dataclass(frozen=True)
class Timing:
    """Layers of one image in order, and the clock period in ns. Pooling and additions are not counted."""

    layers: tuple[LayerTime, ...]
    period_ns: float

    @property
    def least(self) -> int:
        """Cycles of an image where transfers hide behind the array, or the array behind them."""
        return sum(layer.least for layer in self.layers)

    @property
    def serial(self) -> int:
        """Cycles of an image where nothing is hidden."""
        return sum(layer.serial for layer in self.layers)

    @property
    def latency_us(self) -> float:
        """Microseconds per image without hidden transfers."""
        return self.serial * self.period_ns / 1000

    @property
    def images_per_second(self) -> float:
        """Images per second where transfers are hidden."""
        return 1e9 / (self.least * self.period_ns)

    def value(self) -> dict[str, Any]:
        """The same as plain numbers."""
        rows = [
            {"layer": one.name, "array": one.array, "recompute": one.unit, "transfer": one.transfer}
            for one in self.layers
        ]
        return {
            "layers": rows,
            "transfer": f"bandwidth model, {BUS_BYTES} bytes per cycle",
            "cycles_least": self.least,
            "cycles_serial": self.serial,
            "period_ns": self.period_ns,
            "latency_us": round(self.latency_us, 3),
            "images_per_second": round(self.images_per_second, 1),
        }

    def lines(self) -> Iterable[str]:
        """The same as lines of text."""
        yield f"{'layer':<26}{'array':>12}{'recompute':>12}{'transfer':>12}  cycles per image"
        for one in self.layers:
            yield f"{one.name:<26}{one.array:>12,}{one.unit:>12,}{one.transfer:>12,}"
        yield f"transfers are a bandwidth model, {BUS_BYTES} bytes per cycle; array and recompute unit are exact"
        yield f"{self.least:,} to {self.serial:,} cycles per image at {self.period_ns} ns, as transfers are hidden or not:"
        yield f"at most {self.images_per_second:,.0f} images/s, {self.latency_us:,.1f} us without hiding"


def timing(network: Network, array: Array) -> Timing:
    """Cycles of one image of `network` on `array`, layer by layer.

    Raises InputError where the array cannot compute the network.

    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net = Network((2,), Fixed.parse("u8.0"), (fc,))
    >>> timing(net, Array(2, 2)).layers[0].array  # one tile: K + 2 R + C + 2
    10
    """
    array.check(network)
    found = []
    for index, layer in enumerate(network.gemms):
        gemm = network.gemm(index)
        tiling = Tiling.of(gemm, array)
        steps = tiling.pixels if tiling.stationary else gemm.k
        unit = 0
        if array.recompute is not None and (count := len(network.important[index])):
            unit = unit_cycles(array, count, -(-gemm.k // array.recompute.lanes))
        moved = row_bytes(tiling) * weight_rows(tiling)
        moved += sum(
            8 * words_of(network.shapes[name], network.formats[name]) for name in (layer.inputs[0], layer.name)
        )
        found.append(LayerTime(layer.name, cycles(array, tiling.tiles, steps), unit, -(-moved // BUS_BYTES)))
    return Timing(tuple(found), array.period_ns)
