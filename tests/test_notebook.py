"""The notebook runs from top to bottom without a board, and is stored without what it once printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebooks" / "first_campaign.ipynb"


@pytest.fixture
def cells() -> list[dict[str, Any]]:
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    return list(book["cells"])


def test_is_stored_without_outputs_or_places(cells: list[dict[str, Any]]) -> None:
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not any(place in text for place in ("/home/", "/work/", "/root/", "/tmp/"))
    assert len({cell["id"] for cell in cells}) == len(cells)


@pytest.mark.slow
def test_runs_from_top_to_bottom(
    cells: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    images = len(names["x"])
    assert (names["equality"].equal, names["equality"].images) == (images, images)
    assert names["changed"] > 0
    assert [row.point for row in names["result"].rows] == [1e-6, 1e-5, 1e-4]
    assert names["result"].rows[2].accuracy.mean < 1
    assert np.isfinite(names["clean"])
    assert (tmp_path / "campaign.sqlite").exists()
    printed = capsys.readouterr().out
    assert f"compared with the emulator, image by image: {images} equal, 0 different" in printed
    assert "emulator {}" in printed
