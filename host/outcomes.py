"""What a fault did: exactly one outcome per inference, judged against the golden run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.network import Criterion

__all__ = ["OUTCOMES", "Block", "Counts", "classify", "count"]

OUTCOMES = ("masked", "corrected", "tolerable", "critical", "due")
"""masked: no vote disagreed, outputs equal; corrected: a vote disagreed, outputs equal; tolerable: outputs differ, the
criterion holds; critical: it does not; due: the engine hung, timed out or refused the result."""

MASKED, CORRECTED, TOLERABLE, CRITICAL, DUE = range(5)


def classify(golden: Any, outputs: Any, voted: Any, criterion: Criterion) -> NDArray[np.int64]:
    """Outcome number per inference from `golden` and `outputs` (inferences, outputs) and whether a vote disagreed.

    An engine that does not see its voters passes False: then corrected faults count as masked.

    >>> golden = np.array([[5, 1], [5, 1], [5, 1], [5, 1]])
    >>> faulty = np.array([[5, 1], [5, 1], [4, 1], [5, 7]])
    >>> [OUTCOMES[i] for i in classify(golden, faulty, np.array([False, True, True, False]), Criterion())]
    ['masked', 'corrected', 'tolerable', 'critical']
    """
    golden, outputs = np.asarray(golden), np.asarray(outputs)
    result = np.where(np.asarray(voted, bool), CORRECTED, MASKED)
    differ = (golden != outputs).any(axis=1)
    if differ.any():
        holds = criterion.holds(golden[differ], outputs[differ])
        result[differ] = np.where(holds, TOLERABLE, CRITICAL)
    return np.asarray(result, np.int64)


@dataclass(frozen=True)
class Counts:
    """One unit's inferences: how many, how many classified as labelled, per outcome, and the strikes they took."""

    images: int
    correct: int
    masked: int
    corrected: int
    tolerable: int
    critical: int
    due: int
    strikes: int

    def __post_init__(self) -> None:
        if self.masked + self.corrected + self.tolerable + self.critical + self.due != self.images:
            raise ValueError(f"outcomes are exclusive and complete: {self}")


@dataclass(frozen=True, eq=False)
class Block:
    """Trials `first`, `first` + 1, ... of one fault each: `faults` (dtype FAULT), outcome numbers (uint8), and whether
    the faulty run classified as labelled (bool), all of shape (trials,).
    """

    first: int
    faults: NDArray[Any]
    outcomes: NDArray[np.uint8]
    correct: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not len(self.faults) == len(self.outcomes) == len(self.correct):
            raise ValueError(f"a block has one outcome per fault, not {len(self.outcomes)} for {len(self.faults)}")

    def __len__(self) -> int:
        return len(self.faults)


def count(outcomes: NDArray[np.int64], outputs: Any, labels: Any, strikes: int) -> Counts:
    """Counts of one unit; a detected failure is never a correct classification.

    >>> found = count(np.array([0, 3, 4]), [[5, 1], [1, 5], [5, 1]], [0, 0, 0], strikes=7)
    >>> found.images, found.correct, found.critical, found.due
    (3, 1, 1, 1)
    """
    masked, corrected, tolerable, critical, due = np.bincount(np.asarray(outcomes, np.intp), minlength=len(OUTCOMES)).tolist()
    correct = int(((np.asarray(outputs).argmax(axis=1) == np.asarray(labels)) & (outcomes != DUE)).sum())
    return Counts(len(outcomes), correct, masked, corrected, tolerable, critical, due, strikes)
