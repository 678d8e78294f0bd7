"""The command line called in this process, and a small network with samples for it to read."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import small_network

from hardpoint.cli import main
from hardpoint.network import Network


def hardpoint(words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `hardpoint WORDS`."""
    monkeypatch.setattr(sys, "argv", ["hardpoint", *words.split()])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def written(folder: Path) -> Network:
    """A network in `folder` as network.npz, and as samples.npz 40 samples that it labels itself."""
    network = small_network(1)
    network.save(folder / "network.npz")
    x = np.random.default_rng(1).integers(0, 256, (40, 6, 6, 2)).astype(np.uint8)
    y = network(x).argmax(axis=1)
    np.savez(folder / "samples.npz", x_train=x, y_train=y, x_test=x[:12], y_test=y[:12])
    return network
