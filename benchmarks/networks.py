"""The bench nets at every quantisation constraint, trained, proved equal and ranked: what searches choose from.

As in `hardpoint search`, outputs of a constrained network are bounded as well.

Models are those of benchmarks/training.py and lie beside them in build/bench/cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hardpoint.files import load_json, write_json
from hardpoint.hls.frontend import conversion, gate1
from hardpoint.network import Network
from hardpoint.optimizer.evaluate import Candidate
from hardpoint.optimizer.problem import accuracy_of, recipe_of
from hardpoint.ranking import Ranking
from hardpoint.training.ranking import default, rank
from training import cached, trained

GATED = 2000  # test images on which every output must equal QKeras'
RANKED = 500  # training images that rank


def candidates(
    data: Any, scales: tuple[int, ...], seed: int = 0, out: Path = Path("build/bench")
) -> dict[int, Candidate]:
    """An 8 bit network for every quantisation constraint, with its ranking and its accuracy on validation data."""
    return {q_scale: _candidate(data, q_scale, seed, out) for q_scale in scales}


def _candidate(data: Any, q_scale: int, seed: int, out: Path) -> Candidate:
    recipe = recipe_of(data.name, q_scale)
    model = cached(out, data, recipe, bits=8, q_scale=q_scale, seed=seed)
    kept, ranked, about = (model.with_suffix(end) for end in (".npz", ".ranking.npz", ".candidate.json"))
    if not about.is_file():
        trained_model, _ = trained(out, data, 8, q_scale, seed, recipe=recipe)
        network = conversion(trained_model, data.format, q_scale=q_scale, name=f"{data.name}-q{q_scale}").network
        equal = gate1(trained_model, network, data.test.x[:GATED])
        network.save(kept)
        rank(default(network), network, data.train.x[:RANKED], data=data.name).save(ranked)
        accuracy = accuracy_of(network, np.asarray(data.validation.x, np.int64), data.validation.y)
        write_json(about, {"network": network.digest, "equal": equal, "accuracy": accuracy})
    accuracy = float(load_json(about, "record of a network")["accuracy"])
    return Candidate(Network.load(kept), Ranking.load(ranked), accuracy)
