"""A small cross-layer problem without training, for the tests of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from conftest import small_network

from hardpoint.files import write_json
from hardpoint.optimizer.dimensions import SPACE
from hardpoint.optimizer.evaluate import Candidate
from hardpoint.optimizer.goal import Goal
from hardpoint.optimizer.problem import Problem, Wish, accuracy_of
from hardpoint.optimizer.space import Space
from hardpoint.ranking import Ranking
from hardpoint.training.ranking import bit_effects

TINY = SPACE.narrowed(
    {
        "q_scale": [0, 8], "dataflow": ["os"], "rows": [4], "cols": [4], "dsp": [False], "hardened": [0.0, 0.5], "dot_size": [0],
        "kind": ["columns"], "ib": [0, 12, 14], "nb": [0, 12, 14, 16, None], "operand": [False], "drain": [False, True],
    }
)  # fmt: skip
"""Some 60 designs; a network for each of two q_scales, which are one and the same network here."""


def problem(folder: Path, goal: Goal | None = None, space: Space = TINY, images: int = 24, ber: float = 2e-5, **wish: Any) -> Problem:
    """Random weights, the golden run's classes as labels."""
    network = small_network(3)
    rng = np.random.default_rng(7)
    x = rng.integers(0, 256, (images, *network.input_shape))
    labels = network(x).argmax(axis=1)
    scores = tuple(rng.random(network.shapes[layer.name]) for layer in network.gemms)
    ranking = Ranking(scores, "random", network.digest, bits=tuple(bit_effects(network, x)))
    networks, names = {}, {}
    folder.mkdir(parents=True, exist_ok=True)
    for q_scale in space.dimensions["q_scale"]:
        networks[q_scale] = Candidate(network, ranking, accuracy_of(network, x, labels))
        names[str(q_scale)] = f"small-q{q_scale}"
        network.save(folder / f"small-q{q_scale}.npz")
        ranking.save(folder / f"small-q{q_scale}.ranking.npz")
        write_json(folder / f"small-q{q_scale}.json", {"network": network.digest, "equal": 0})
    asked = Wish(goal or Goal(), space, ber, lists=wish.pop("lists", 8), **wish)
    target = 1.0 - asked.drop if asked.accuracy is None else asked.accuracy
    return Problem(networks, x, labels, ber, None, None, target, 1, 0, asked, folder, names)

