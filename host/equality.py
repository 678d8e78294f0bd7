"""Whether a device computes what the emulator computes, image by image, under any fault list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.faults import FaultList
from hardpoint.host.campaign import Engine, seen
from hardpoint.host.emulator import Emulator
from hardpoint.layers import Codes

__all__ = ["Equality", "compare"]


@dataclass(frozen=True)
class Equality:
    """How many of `images` a device computed exactly as the emulator, votes included, and what the first other one shows.

    `failed` of the different ones were never finished.
    """

    images: int
    equal: int
    failed: int
    first: str = ""

    @property
    def different(self) -> int:
        """Images that are not equal."""
        return self.images - self.equal

    def lines(self) -> list[str]:
        """The comparison in words."""
        failed = f" ({self.failed} never finished)" if self.failed else ""
        total = f"compared with the emulator, image by image: {self.equal} equal, {self.different} different{failed}"
        return [total, *([f"first difference: {self.first}"] if self.first else [])]

    def table(self) -> dict[str, Any]:
        """Values by name."""
        return {"equal": self.equal, "different": self.different, "failed": self.failed, "first": self.first}


def compare(engine: Engine, x: Any, faults: FaultList | None = None) -> tuple[Equality, Codes, NDArray[np.bool_]]:
    """Run codes `x` under `faults` on `engine` and on the emulator; the comparison, and outputs and failures of `engine`.

    Equal are outputs, every one of them, and whether a vote among copies disagreed.

    >>> from hardpoint.array import Array
    >>> from hardpoint.draw import draw
    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.host.driver import Driver
    >>> from hardpoint.host.emulated import EmulatedDevice
    >>> from hardpoint.layers import Dense
    >>> from hardpoint.network import Network
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s8.0"))
    >>> net, array = Network((2,), Fixed.parse("u8.0"), (fc,)), Array(1, 2)
    >>> device = Driver(EmulatedDevice(array), array).load(net)  # behind registers and memory, as a board is
    >>> found, outputs, failed = compare(device, np.array([[3, 4], [5, 6]]), draw(array, net, 2, 0.01, seed=1))
    >>> found.lines()
    ['compared with the emulator, image by image: 2 equal, 0 different']
    """
    assert engine.array is not None, "an engine without an array is compared with nothing"
    outputs, voted, failed = seen(engine, x, faults)
    emulator = Emulator(engine.network, engine.array, bypass=getattr(engine, "bypass", None))
    expected, votes, *given_up = emulator.observe(x, faults)
    lost = given_up[0] if given_up else np.zeros(len(outputs), bool)  # by error-correcting code, as it should be
    wrong = (outputs != expected).any(axis=1)
    different = np.flatnonzero(((wrong | (voted != votes)) & ~lost) | (failed != lost))
    first = ""
    if len(different):
        image = int(different[0])
        if failed[image] != lost[image]:
            first = f"image {image} was never finished" if failed[image] else f"image {image} was not given up"
        elif wrong[image]:
            output = int((outputs[image] != expected[image]).argmax())
            first = f"output {output} of image {image} is {outputs[image, output]}, the emulator has {expected[image, output]}"
        else:
            saw = ("no vote disagreed, in the emulator one did", "a vote disagreed, in the emulator none did")
            first = f"in image {image} {saw[int(voted[image])]}"
    return (
        Equality(len(outputs), len(outputs) - len(different), int(np.count_nonzero(failed & ~lost)), first),
        outputs,
        failed,
    )
