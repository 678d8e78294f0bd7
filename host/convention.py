"""Conventions of fault injection: what a campaign's point means, what its unit is, and how a unit's faults are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardpoint.array import Array
from hardpoint.defects import pattern
from hardpoint.draw import check_ber, check_weights, draw_count
from hardpoint.errors import InputError
from hardpoint.faultmap import FaultMap, StuckBit
from hardpoint.faults import SITES, FaultList, bit_table, population
from hardpoint.host.drawing import draw
from hardpoint.host.neurons import NeuronFaults, draw_neurons, output_bits
from hardpoint.network import Network
from hardpoint.streams import philox, uniform

__all__ = ["CONVENTIONS", "Convention", "convention", "stuck_map"]

MAPS = "permanent"
STUCK = 6  # purpose of the draws of stuck bits, beside those of `hardpoint.defects`


@dataclass(frozen=True)
class Convention:
    """One way of injecting faults, by `name`; results of different conventions are never put together.

    `point` says what a campaign's points are, `unit` what is drawn independently, `counted` what the population counts.
    `shared`: all images of a unit suffer the same faults, so that they are one draw.
    """

    name: str
    point: str
    unit: str
    counted: str
    shared: bool = False

    def check(self, point: float, array: Array | None) -> None:
        """Raise an InputError unless `point` is one."""
        if self.name == "count":
            if point != int(point) or point < 0:
                raise InputError(f"strikes per inference are a whole number from 0, not {point}")
        elif self.name.startswith(MAPS):
            if not 0 <= point < 1:
                raise InputError(f"a PE fault rate must be from 0 to below 1, not {point}")
        else:
            check_ber(point)

    def faults(
        self, network: Network, array: Any, images: int, point: float, seed: int, trial: int, weights: Mapping[str, float]
    ) -> FaultList | NeuronFaults:
        """The faults of unit `trial` at `point`."""
        if self.name == "ber":
            return draw(array, network, images, point, seed, trial, weights)
        if self.name == "count":
            return draw_count(array, network, images, int(point), seed, trial, weights)
        if self.name == "neuron":
            return draw_neurons(network, images, point, seed, trial)
        kind = self.name.removeprefix(MAPS).strip()
        chip = stuck_map(array, kind, point, seed, trial, weights)
        return FaultList.of(chip.faults(array), array, network, images, seed=seed, trial=trial, convention=self.name)

    def population(self, network: Network, array: Array | None, weights: Mapping[str, float] | None = None) -> int:
        """What `counted` says, per image (of a map: in all), of site classes with a weight."""
        if array is None:
            return output_bits(network)
        if self.shared:
            return array.rows * array.cols
        table = check_weights(weights)
        return sum(bits for site, bits in population(array, network, buffers=True).items() if table[site] > 0)

    def says(self, images: int, weights: Mapping[str, float]) -> str:
        """The convention in words."""
        extra = "".join(f", {name} weighted {weight:g}" for name, weight in sorted(weights.items()))
        return f"{self.point}{extra}; the unit is {self.unit} over {images} images"


CONVENTIONS = {
    one.name: one
    for one in (
        Convention("ber", "transient flips, BER per live site bit and step", "a fault list", "live site bits x steps per image"),
        Convention(
            "count", "transient flips, so many per image, uniform over live site bits and steps", "a fault list",
            "live site bits x steps per image",
        ),
        Convention(
            f"{MAPS} uniform", "permanent faults, share of PEs with one stuck bit each, places uniform", "a fault map", "PEs", True
        ),
        Convention(
            f"{MAPS} clustered", "permanent faults, share of PEs with one stuck bit each, places clustered", "a fault map", "PEs", True
        ),
        Convention(
            "neuron", "software convention, not hardware: flips of layers' output codes, rate per output bit",
            "a list of flipped outputs", "output bits of array layers per image",
        ),
    )
}  # fmt: skip


def convention(name: str) -> Convention:
    """The convention of that name, or an InputError."""
    if name not in CONVENTIONS:
        raise InputError(f"a convention of fault injection is {', '.join(CONVENTIONS)}, not {name!r}")
    return CONVENTIONS[name]


def stuck_map(array: Array, kind: str, rate: float, seed: int, chip: int, weights: Mapping[str, float] | None = None) -> FaultMap:
    """A map with a share `rate` of faulty PEs, rounded to whole ones, in pattern `kind`; each has one bit stuck.

    The bit is uniform over the PE's site bits (times `weights` of their classes), its value 0 or 1 with equal chance.

    >>> chip = stuck_map(Array(8, 8), "clustered", 0.05, seed=1, chip=0)
    >>> len(chip), len(chip.stuck)
    (3, 3)
    """
    places = pattern(kind, array.rows, array.cols, round(rate * array.rows * array.cols), seed, chip)
    bits, scale = bit_table(array), check_weights(weights)
    which, value = philox(seed, (np.arange(len(places)), chip, STUCK, 0xFA17))
    stuck = []
    for (row, col), share, level in zip(places.faulty, uniform(which).tolist(), (value & np.uint64(1)).tolist(), strict=True):
        here = [
            (SITES[site], copy, bit)
            for site, copy in np.ndindex(bits.shape[:2])
            for bit in range(64)
            if int(bits[site, copy, row, col]) >> bit & 1
        ]
        ends = np.cumsum([scale[site] for site, _, _ in here])
        if not ends[-1]:
            raise InputError("all site classes of a PE have weight 0: nothing can be stuck")
        site, copy, bit = here[int(np.searchsorted(ends, share * ends[-1], side="right"))]
        stuck.append(StuckBit(row, col, site, copy, bit, level))
    return FaultMap(array.rows, array.cols, (), tuple(stuck), places.chip, f"{places.origin}, one stuck bit each")


def checked(network: Network, array: Any, one: Convention) -> None:
    """Raise an InputError where a convention is asked of an engine that it does not fit."""
    if (one.name == "neuron") != (array is None):
        raise InputError("the neuron convention runs on the network alone, every other on an array")
