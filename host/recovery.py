"""A network on a device that may hang, answer with garbage or go away: reset, reload, check, count, go on, or stop."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.errors import InputError
from hardpoint.faults import FaultList
from hardpoint.files import write_json
from hardpoint.host.device import DeviceError, Timeout
from hardpoint.host.driver import HUNG, Driver, Interrupted, Loaded, Played
from hardpoint.host.emulator import Emulator
from hardpoint.network import Network
from hardpoint.program import counted

__all__ = ["Lost", "Recovery", "Surviving"]


class Lost(InputError):
    """The device cannot be trusted any more; no campaign goes on. Not a DeviceError: it is no outcome of a fault."""


@dataclass(frozen=True)
class Recovery:
    """One failure: at which inference, what the device did, and what brought it back (`reset` or `reload`)."""

    image: int
    reason: str
    action: str


class Surviving:
    """`network` on the device of `driver`, an engine for campaigns that outlives what its faults do to the device.

    When the device fails, what it had finished is kept; then its logic is reset, and if that does not help, loaded
    again with everything in its memory; either counts only if it then computes the inputs `check` as the network
    does (with the PEs of `bypass` bypassed, as the emulator does). An inference in which the device hung, or answered wrongly twice, ends with status HUNG: a DUE. After `most` failures in
    one call the rest of its inferences end so, unplayed. A device that does not come back, or that comes back and
    computes `check` wrongly, raises Lost; what was seen is written to `evidence` (JSON) before.
    """

    def __init__(
        self,
        driver: Driver,
        network: Network,
        check: Any,
        *,
        most: int = 8,
        evidence: str | os.PathLike[str] | None = None,
        bypass: Any = None,
    ) -> None:
        if most < 1:
            raise InputError(f"a device may fail at least once per call, not {most} times")
        self.driver, self.network, self.most, self.evidence, self.bypass = driver, network, most, evidence, bypass
        self._check = network.check_input(check)
        if not len(self._check):
            raise InputError("a device is checked with at least 1 input")
        self._golden = (
            network(self._check) if bypass is None else Emulator(network, driver.array, bypass=bypass).run(self._check)
        )
        self.recoveries: list[Recovery] = []
        self._last = ""  # why the device failed last
        self._loaded: Loaded | None = None
        if not self._works("power-up"):
            self._recover(0, self._last)

    @property
    def array(self) -> Array:
        """The array that the accelerator was built as."""
        return self.driver.array

    @property
    def engine(self) -> str:
        """The device's kind, as a campaign's store calls it."""
        return self.driver.device.name.partition("-")[0]

    def run(self, x: Any, faults: FaultList | None = None) -> NDArray[np.int64]:
        """Output codes (images, outputs); a DeviceError where an inference did not end well."""
        played = self.play(x, faults)
        bad = np.flatnonzero(played.status)
        if len(bad):
            raise DeviceError(
                f"{self.driver.device.name}: {len(bad)} of {len(played.status)} inferences failed, the first {bad[0]}"
            )
        return played.outputs

    def play(self, x: Any, faults: FaultList | None = None, first: int = 0) -> Played:
        """Outputs, status and counts for input codes `x` while `faults` strike; see `Loaded.play`."""
        x = self.network.check_input(x)
        parts: list[Played] = []
        at, failures, again = 0, 0, -1
        while at < len(x):
            if self._loaded is None or failures == self.most:
                parts.append(self._hung(len(x) - at))
                break
            try:
                parts.append(self._loaded.play(x[at:], faults, first + at))
                break
            except Interrupted as error:
                parts.append(error.played)
                at += len(error.played.status)
                failures += 1
                self._recover(first + at, str(error))
                if error.unfinished and (isinstance(error.__cause__, Timeout) or again == at):
                    parts.append(self._hung(1))
                    at += 1
                again = at
        fields = zip(
            *((part.outputs, part.status, part.cycles, part.votes) for part in parts or [self._hung(0)]), strict=True
        )
        outputs, status, cycles, votes = (np.concatenate(field) for field in fields)
        return Played(outputs, status, cycles, votes)

    def sensors(self) -> dict[str, Any]:
        """What the board measures."""
        return self.driver.device.sensors()

    def close(self) -> None:
        """Free the network's memory on the device."""
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None

    def _hung(self, images: int) -> Played:
        """Inferences that the device never finished."""
        nothing = np.zeros(images, np.int64)
        votes = np.zeros((images, counted(self.array)), np.int64)
        return Played(np.zeros((images, self._golden.shape[1]), np.int64), nothing + HUNG, nothing, votes)

    def _recover(self, image: int, reason: str) -> None:
        """Bring the device back, by a reset or else by loading it again; Lost if neither does."""
        for action in ("reset", "reload"):
            if self._works(action):
                self.recoveries.append(Recovery(image, reason, action))
                return
        raise self._lost(f"{reason}; neither a reset nor a reload brought it back: {self._last}", {"image": image})

    def _works(self, action: str) -> bool:
        """Reset or reload, then compute `check`: False where the device fails, Lost where it computes something else."""
        device = self.driver.device
        try:
            if action == "reset":
                device.reset()
            elif action == "reload":
                self._forget()
                device.reset(hard=True)
            if self._loaded is None:
                self._loaded = self.driver.load(self.network, self.bypass)
            self._loaded.suspect()
            played = self._loaded.play(self._check)
        except DeviceError as error:
            self._last = str(error)
            return False
        if played.status.any():
            self._last = f"status {int(played.status[played.status != 0][0])} without faults"
            return False
        wrong = np.argwhere(played.outputs != self._golden)
        if len(wrong):
            image, output = (int(i) for i in wrong[0])
            found, expected = int(played.outputs[image, output]), int(self._golden[image, output])
            raise self._lost(
                f"after {action} output {output} of check input {image} is {found}, not {expected}",
                {"action": action, "expected": self._golden.tolist(), "found": played.outputs.tolist()},
            )
        return True

    def _forget(self) -> None:
        """Drop the network's memory, also where the device does not answer."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.close()

    def _lost(self, reason: str, seen: dict[str, Any]) -> Lost:
        """The error, after what was seen has been written."""
        where = ""
        if self.evidence is not None:
            seen |= {"format": "hardpoint evidence 1", "device": self.driver.device.name, "reason": reason}
            seen |= {"network": self.network.digest, "array": self.array.digest, "check": self._check.tolist()}
            seen |= {"recoveries": [dataclasses.asdict(recovery) for recovery in self.recoveries]}
            write_json(self.evidence, seen)
            where = f"; evidence: {self.evidence}"
        return Lost(f"{self.driver.device.name} cannot be trusted: {reason}{where}")
