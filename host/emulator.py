"""The emulator: a network on an array under faults, bit for bit, by recomputing only what a fault touched."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.array import Array
from hardpoint.beside import decoded
from hardpoint.errors import InputError
from hardpoint.faults import FaultList, describe, live
from hardpoint.host.buffers import WBUF, noticed
from hardpoint.host.datapath import WGT
from hardpoint.host.forward import Bypass, Forward
from hardpoint.host.jit import COMPILED
from hardpoint.host.permanent import Permanent
from hardpoint.host.program import Program
from hardpoint.host.replay import Tables, Work, replay
from hardpoint.layers import Codes
from hardpoint.network import Network

__all__ = ["Emulator"]

BLOCK = 32
"""Images whose clean states are worked out and struck in turn: few enough for caches, enough to make calls cheap."""


class Emulator:
    """`network` as `array` computes it, its PEs working with `array.deployed(network, shifts)`.

    Clean states of the last images are kept (up to `keep` bytes), so that trials on the same images cost what their
    faults change. At most `batch` images are worked on at a time; no result depends on it.

    >>> from hardpoint.faults import FAULT
    >>> from hardpoint.fixed import Fixed
    >>> from hardpoint.layers import Dense
    >>> fc = Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s4.0"))
    >>> net, array = Network((2,), Fixed.parse("u4.0"), (fc,)), Array(1, 2)
    >>> fault = np.zeros(1, FAULT)
    >>> fault["site"], fault["col"], fault["bit"] = 5, 1, 4  # column 4 of the accumulator of PE (0, 1), after step 0
    >>> Emulator(net, array).run(np.array([[3, 4]]), FaultList.of(fault, array, net, 1)).tolist()
    [[11, -14]]
    """

    def __init__(
        self,
        network: Network,
        array: Array,
        batch: int = 256,
        keep: int = 1 << 30,
        bypass: NDArray[np.bool_] | None = None,
        shifts: tuple[int, ...] | None = None,
    ) -> None:
        array.check(network)
        self.bypass = np.zeros((array.rows, array.cols), bool) if bypass is None else np.array(bypass, bool)
        if self.bypass.shape != (array.rows, array.cols):
            raise InputError(f"a bypass map is of {array.rows} x {array.cols} PEs, as the array, not of shape {self.bypass.shape}")
        if batch < 1:
            raise InputError(f"a batch holds at least 1 image, not {batch}")
        self.network, self.array, self.batch, self.keep = network, array, batch, keep
        self.shifts = array.shifts(network) if shifts is None else shifts
        self._deployed = array.deployed(network, self.shifts)
        self.program = Program.of(self._deployed, array, self.bypass)
        self._forward = Forward(self._deployed, self.program, Bypass(self._deployed, array, self.bypass))
        self._tables = Tables.of(self.program)
        self._work, self._reserved = Work.of(self.program), (0, 0, 0)
        self._images: Codes | None = None  # whose clean states are kept
        self._states = np.empty((0, self.program.words), np.int32)

    def __reduce__(self) -> tuple[Any, ...]:
        return Emulator, (self.network, self.array, self.batch, self.keep, self.bypass, self.shifts)  # what is kept is no part of the value

    def run(self, x: Any, faults: FaultList | None = None, first: int = 0) -> Codes:
        """Output codes (images, outputs) of inferences `first`, `first` + 1, ... on codes `x` while `faults` strike."""
        outputs: Codes = self.observe(x, faults, first)[0]
        return outputs

    def observe(self, x: Any, faults: FaultList | None = None, first: int = 0) -> tuple[Any, ...]:
        """As `run`, and per image whether a vote among copies ever disagreed. On arrays with ECC a word that it corrects or
        gives up counts as such a vote, and a third array says in which images it gave up a word.
        """
        x = self._checked(x)
        nothing = np.zeros(len(x), bool)
        if faults is None or not len(faults):
            return self._answer(self.clean(x), nothing, nothing)
        self._check(faults, first + len(x))
        flips, stuck, due = faults.faults, faults.faults[:0], nothing
        if flips["effect"].any():
            lasting = flips["effect"] != 0
            flips, stuck = flips[~lasting], flips[lasting]
            permanent = None
            if not len(flips) and self._forward.fast:
                permanent = Permanent.of(stuck, first, len(x), self._deployed, self.array, self.program)
            if permanent is not None:
                return self._answer(self._forward.clean(x, permanent), nothing, nothing)
        outputs = np.empty((len(x), int(self.program.tensors[-1, 1])), np.int32)
        voted = np.zeros(len(x), np.uint8)
        if self.array.ecc:
            numbers = first + np.arange(len(x))
            voted[np.isin(numbers, noticed(flips, self.network))] = 1
            flips = decoded(flips, self.network)
            given_up = (flips["site"] >= WBUF) & (flips["copy"] == 1)
            due = np.isin(numbers, flips["image"][given_up])
            flips = flips[~given_up]
            flips = flips[np.lexsort((flips["layer"], flips["image"]))]
        cuts = np.searchsorted(flips["image"], first + np.arange(len(x) + 1))
        flips, starts, rows = self._moved(flips[cuts[0] : cuts[-1]]), cuts - cuts[0], np.arange(len(x))
        held = 0
        if self.array.dataflow == "ws":
            held = int(np.diff(np.concatenate([[0], np.cumsum(flips["site"] == WGT)])[starts]).max(initial=0))
        self._reserve(int(np.diff(cuts).max(initial=0)), len(stuck), held)
        records = np.concatenate([flips, stuck]) if len(stuck) else flips
        for start, states in self._golden(x):
            here = slice(start, start + len(states))
            begun = starts[start : here.stop + 1]
            self._replay(states, records, begun, rows[: len(states)], len(flips), first + start, outputs[here], voted[here])
        return self._answer(self.network.ordered(outputs.astype(np.int64)), voted.astype(bool), due)

    def _answer(self, outputs: Codes, voted: NDArray[np.bool_], due: NDArray[np.bool_]) -> tuple[Any, ...]:
        return (outputs, voted, due) if self.array.ecc else (outputs, voted)

    def observe_each(self, x: Any, flips: NDArray[Any]) -> tuple[Codes, NDArray[np.bool_]]:
        """Trials of one flip each, records of dtype FAULT: outputs of image `flips["image"][i]` of `x` while flip i alone
        strikes it, (trials, outputs), and whether a vote disagreed, (trials,).
        """
        x = self._checked(x)
        if (flips["effect"] != 0).any() or (len(flips) and int(flips["image"].max()) >= len(x)):
            raise InputError(f"trials of one fault each are flips in images 0 to {len(x) - 1}")
        outputs = np.empty((len(flips), int(self.program.tensors[-1, 1])), np.int32)
        voted = np.zeros(len(flips), np.uint8)
        # numbers of 16 bits are sorted in linear time
        order = np.argsort(flips["image"].astype(np.uint16 if len(x) <= 1 << 16 else np.uint32), kind="stable")
        records = self._moved(flips[order])
        dead = np.flatnonzero(~live(flips, self.array, self.network))
        if len(dead):
            raise InputError(f"fault {dead[0]} strikes no live bit: {describe(flips[dead[0]])}")
        self._reserve(1, 0, 1)
        for start, states in self._golden(x):
            a, b = np.searchsorted(records["image"], (start, start + len(states)))
            part, rows, starts = records[a:b], records["image"][a:b].astype(np.int64) - start, np.arange(b - a + 1)
            if self.array.ecc:  # which corrects any one flip of a buffer
                corrected = part["site"] >= WBUF
                part, starts = part[~corrected], np.concatenate([[0], np.cumsum(~corrected)])
                voted[a:b] = corrected
            self._replay(states, part, starts, rows, len(part), start, outputs[a:b], voted[a:b])
        back = np.empty(len(flips), np.int64)
        back[order] = np.arange(len(flips))
        return self.network.ordered(outputs[back].astype(np.int64)), voted[back].astype(bool)

    def clean(self, x: Any) -> Codes:
        """Output codes without faults."""
        return self._forward.clean(self.network.check_input(x))

    def _check(self, faults: FaultList, images: int) -> None:
        if faults.images < images:
            raise InputError(f"the fault list is for {faults.images} images, not for {images}")
        faults.check(self.array, self.network)

    def _moved(self, flips: NDArray[Any]) -> NDArray[Any]:
        """`flips` with those of weight codes where their bits lie in the weights of the PEs."""
        if not any(self.shifts):
            return flips
        stored = flips["site"] == WBUF
        moved = flips.copy()
        moved["bit"][stored] += np.array(self.shifts, moved["bit"].dtype)[flips["layer"][stored]]
        return moved

    def _checked(self, x: Any) -> Codes:
        """`x` as codes; as the very array that is kept where it equals that."""
        x = np.asarray(x)
        if self._images is not None and x.dtype.kind in "iub" and np.array_equal(x, self._images):
            return self._images
        return self.network.check_input(x)

    def _golden(self, x: Codes) -> Any:
        """Yield (number of the first image, clean states): of all images where they are kept, else block by block."""
        if x is self._images and len(x):
            yield 0, self._states
            return
        self._images, block = None, min(self.batch, BLOCK)
        fits = len(x) * self.program.words * 4 <= self.keep
        room = len(x) if fits else min(len(x), block)
        if len(self._states) != room:
            self._states = np.empty((room, self.program.words), np.int32)
        for start in range(0, len(x), block):
            part = x[start : start + block]
            states = self._states[start : start + len(part)] if fits else self._states[: len(part)]
            self._forward.states(part, states)
            yield start, states
        if fits:
            self._images = x.copy()

    def _reserve(self, *needed: int) -> None:
        """Have working memory for as many flips per image, stuck bits, and flips per image of weights that stay."""
        if any(need > have for need, have in zip(needed, self._reserved, strict=True)):
            flips, stuck, held = (have if need <= have else 2 * need for need, have in zip(needed, self._reserved, strict=True))
            self._reserved = flips, stuck, held
            self._work = Work.of(self.program, *self._reserved)

    def _replay(self, states: Any, records: Any, starts: Any, rows: Any, stuck: int, first: int, outputs: Any, voted: Any) -> None:
        done = False
        records = records.view()
        records.setflags(write=False)  # lists are; kernels are compiled for one kind of arrays
        try:
            with nullcontext() if COMPILED else np.errstate(over="ignore"):
                replay(self._tables, self._work, states, records, starts, rows, stuck, first, outputs, voted)
            done = True
        finally:
            if not done:  # interrupted: states, work and weights may be half changed
                self._tables = Tables.of(self.program)
                self._images, self._reserved = None, (-1, -1, -1)
