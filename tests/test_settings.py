"""Settings in a file say what a command line says, are refused as clearly, and come back with every result."""

import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from command import hardpoint, written
from hypothesis import given
from hypothesis import strategies as st

from hardpoint.errors import InputError
from hardpoint.settings import FOLDER_FILE, as_toml, load, note, noted, typed

SCALARS = st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans())
KEYS = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)


@given(st.dictionaries(KEYS, st.one_of(SCALARS, st.lists(SCALARS, max_size=4)), max_size=5))
def test_settings_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("settings") / "a.toml"
    path.write_bytes(as_toml("run", values).encode())
    assert repr(load(path, {"run": values})["run"]) == repr(values), "repr tells 1 from 1.0 and from true, and NaN from nothing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cots]\nrows = 8", "there is no verb 'cots'; the nearest is 'cost'"),
        ("[cost]\nrow = 8", "[cost] has no option 'row'; the nearest is 'rows'"),
        ("[cost]\nuntil_error = 8", "[cost] has no option 'until_error'; the nearest is"),
        ("cost = 8", "cost must be a table, [cost] with its options below, not 8"),
        ("[cost]\nrows = ", "is no TOML: Invalid value"),
        ("[cost]\nrows = 8\nrows = 9", "is no TOML: Cannot overwrite a value"),
        ("\udcff", "is no TOML: "),
    ],
)
def test_what_a_file_says_wrongly_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as error:
        load(tmp_path / "a.toml", {"cost": ["rows", "guard"], "campaign": ["until-error"]})
    assert message in str(error.value)
    assert str(tmp_path / "a.toml") in str(error.value)


@pytest.mark.parametrize(("value", "flag", "many"), [(True, False, False), (1, True, False), ([1], False, False), ({}, False, True)])
def test_a_value_of_another_kind_is_refused(value: Any, flag: bool, many: bool) -> None:
    with pytest.raises(InputError, match="takes "):
        typed(value, flag, many)


def test_numbers_are_handed_on_exactly() -> None:
    for number in (1e-6, 0.1, 4.22e-6, math.pi, 5e-324):
        assert float(typed(number, False, False)) == number


def test_a_file_a_folder_and_a_database_keep_settings(tmp_path: Path) -> None:
    file, folder, store = tmp_path / "a.npz", tmp_path / "project", tmp_path / "s.db"
    file.write_bytes(b"x")
    folder.mkdir()
    with sqlite3.connect(store) as db:
        db.execute("CREATE TABLE about (format TEXT)")
    db.close()
    for result in (file, folder, store):
        assert noted(result) == []
        note(result, "emit", "[emit]\n")
        assert noted(result) == ["[emit]\n"]
    assert (tmp_path / "a.npz.toml").read_text() == (folder / FOLDER_FILE).read_text() == "[emit]\n"
    for text in ("[emit]\n", "[emit]\nrows = 4\n"):
        note(store, "emit", text)
    assert noted(store) == ["[emit]\n", "[emit]\nrows = 4\n"], "every setting once, in order"
    note(tmp_path / "absent", "emit", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "a.npz.toml", "project", "s.db"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


CAMPAIGN = '[campaign]\nnetwork = "network.npz"\ndata = "npz=samples.npz"\nrows = 4\ncols = 4\nguard = 12\ntrials = 3\nber = [1e-5, 1e-4]\n'


@pytest.mark.pc
def test_a_file_says_what_the_command_line_says(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(CAMPAIGN + "[run]\ncheck = true\n")
    written = "campaign network.npz --data npz=samples.npz --rows 4 --cols 4 --guard 12 --trials 3"
    code, typed_out, err = hardpoint(f"{written} --ber 1e-5 --ber 1e-4 --json", capsys, monkeypatch)
    assert code == 0, err
    assert hardpoint("campaign --config a.toml --json", capsys, monkeypatch)[:2] == (0, typed_out)
    code, won, _ = hardpoint("campaign --config a.toml --ber 1e-3 --json", capsys, monkeypatch)
    assert '"point": 0.001' in won, "the command line wins"
    assert '"point": 1e-05' not in won, "and replaces a list"


@pytest.mark.pc
def test_a_store_keeps_the_settings_of_every_run_and_takes_them_again(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(CAMPAIGN)
    assert hardpoint("campaign --config a.toml --store s.db --out table.json", capsys, monkeypatch)[0] == 0
    assert hardpoint("campaign --config a.toml --store s.db --seed 5", capsys, monkeypatch)[0] == 0
    assert hardpoint("campaign --config a.toml --store s.db --seed 6 --plan", capsys, monkeypatch)[0] == 0
    kept = noted(folder / "s.db")
    assert len(kept) == 2, "a plan measures nothing"
    assert (folder / "table.json.toml").read_text() == kept[0]
    for key in ('guard = "12"', "confidence = 0.95", "1e-05", "seed = 0", 'store = "s.db"', 'network = "network.npz"'):
        assert key in kept[0], key
    assert "seed = 5" in kept[1]
    table = (folder / "table.json").read_bytes()
    (folder / "table.json").unlink()
    (folder / "again.toml").write_text(kept[0])
    assert hardpoint("campaign --config again.toml", capsys, monkeypatch)[0] == 0
    assert (folder / "table.json").read_bytes() == table
    assert noted(folder / "s.db") == kept
    assert hardpoint("report s.db", capsys, monkeypatch)[0] == 0
    page = (folder / "report.html").read_text()
    assert "ber = [\n    1e-05,\n    0.0001,\n]" in page
    assert "seed = 5" in page
    assert not (folder / "report.html.toml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cost]\ntrials = 3", "a.toml: [cost] has no option 'trials'; the nearest is"),
        ("[campaign]\nbre = 3", "a.toml: [campaign] has no option 'bre'; the nearest is 'ber'"),
        ("[campaign]\nconfig = 'b.toml'", "a.toml: [campaign] has no option 'config'; the nearest is"),
        ("[campaign]\ntrials = 1", "a.toml: [campaign] trials = 1: "),
        ("[campaign]\ntrials = 2.5", "a.toml: [campaign] trials = 2.5: "),
        ("[campaign]\nplan = 1", "a.toml: [campaign] plan takes true or false, not 1"),
        ("[campaign]\ndata = true", "a.toml: [campaign] data takes a text or a number, not true"),
        ("[campaign]\nseed = [1, 2]", "a.toml: [campaign] seed takes one text or number, not [1, 2]"),
        ("[campaign]\nseed = 2020-01-01", "a.toml: [campaign] seed takes one text or number, not "),
        ("[run]\nseed = 2", "a.toml says nothing about campaign: it has no table [campaign]"),
        (CAMPAIGN.replace('"network.npz"', '"none.npz"'), "cannot read network none.npz"),
    ],
)
def test_the_command_refuses_a_file_in_one_line(
    folder: Path, text: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(text)
    before = sorted(folder.iterdir())
    code, out, err = hardpoint("campaign --config a.toml --store s.db", capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("hardpoint: ")
    assert message in err
    assert sorted(folder.iterdir()) == before


def test_verbose_says_the_settings_and_where_an_error_arose(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = hardpoint("run none.npz --seed 77 -v", capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert "[run]" in err
    assert "seed = 77" in err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("hardpoint: cannot read network none.npz")
    _, _, err = hardpoint("run none.npz", capsys, monkeypatch)
    assert err.count("\n") == 1, "the next call is quiet again"


@pytest.mark.pc
def test_a_folder_keeps_its_settings_and_takes_them_again(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, first, err = hardpoint("emit network.npz --rows 4 --cols 4 --guard 14+drain --hardened 2 --out project --json", capsys, monkeypatch)
    assert code == 0, err
    kept = (folder / "project" / FOLDER_FILE).read_text()
    assert 'guard = "14+drain"' in kept
    assert "json" not in kept, "how a result is printed is no setting of it"
    (folder / "again.toml").write_text(kept)
    assert hardpoint("emit --config again.toml --json", capsys, monkeypatch)[:2] == (0, first)
    assert (folder / "project" / FOLDER_FILE).read_text() == kept
