"""The report is one page that loads nothing, trusts no name, and tells all that studies, stores and fleets hold."""

import dataclasses
import json
import math
import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import small_network

from hardpoint.array import Array, Guard
from hardpoint.cost import Cost
from hardpoint.defects import pattern
from hardpoint.design import DesignPoint, Settings
from hardpoint.errors import InputError
from hardpoint.files import write_json
from hardpoint.host.campaign import run_campaign
from hardpoint.host.emulator import Emulator
from hardpoint.host.neurons import NeuronInjector
from hardpoint.host.provenance import versions
from hardpoint.host.singles import run_singles
from hardpoint.optimizer.figures import Mark, curves, heat_map
from hardpoint.optimizer.fleet import Chip, Fleet, FleetResult, said
from hardpoint.optimizer.flow import report_on
from hardpoint.optimizer.report import Figure, Rate, Section, Story, Table, rate_of, render
from hardpoint.optimizer.sections import between
from hardpoint.optimizer.stories import story_of
from hardpoint.optimizer.study import Study
from hardpoint.statistics import Interval
from hardpoint.training.fleet_curves import Resilience
from hardpoint.training.fleet_policies import Outcome

NETWORK = small_network(1)
ARRAY = Array(4, 4, (Guard(), Guard(12)), (0, 1, 1, 1))
X = np.random.default_rng(1).integers(0, 256, (12, 6, 6, 2))
LABELS = NETWORK(X).argmax(axis=1)
HOSTILE = '"><script>alert(1)</script>$\\frac{<b>'


def interval(mean: float) -> Interval:
    return Interval(mean, mean - 0.02, mean + 0.02, 0.95, 20, "Wilson's interval over fault lists")


def point() -> DesignPoint:
    settings = Settings.all_columns(14, q_scale=4)
    return DesignPoint(settings, "faults", True, "holds", Cost("yosys", 120), None, 0.97, 1e-5, (0.95, 0.96, 0.97))


def story(name: str = "found design") -> Story:
    rates = [Rate(d, b, interval(0.92), interval(0.05), 20, 360) for d in ("unprotected", name) for b in (1e-6, 1e-5)]
    return Story(
        title=f"Report on {name}",
        asked="What is cheapest?",
        answer=f"{name} is.",
        commands=["hardpoint demo"],
        provenance={"network": name},
        clean_accuracy=0.97,
        operating_ber=1e-5,
        rates=rates,
        costs={"unprotected": Cost("yosys", 100, 50, 0), name: Cost("yosys", 120, None, 0), "full TMR": Cost("yosys", 300, 90, 0)},
        points=[point()],
        gates={f"{name} == Network": 64},
        array=Array.columns_hardened(4, 4, Guard(14), 2),
    )


class Seen(HTMLParser):
    """What a browser would make of a page: tags, ids, event handlers, and whether tags close in order."""

    VOID = ("meta", "link", "br", "input", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(page: str) -> str:
    """A page that loads nothing, runs nothing, is well-formed and small."""
    seen = Seen(page)
    assert not seen.open
    assert not seen.handlers
    assert not seen.tags & {"script", "iframe", "object", "embed", "b"}
    assert len(seen.ids) == len(set(seen.ids)), "ids are unique"
    for url in re.findall(r"""(?:src|href)=["']([^"']*)["']""", page):
        assert url.startswith(("#", "data:")), url
    assert "@import" not in page
    assert "url(http" not in page
    assert len(page.encode()) < 3_000_000
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    return page


def store_of(path: Path) -> dict[str, Any]:
    """A store with a campaign of every convention, and their results."""
    engine, plain = Emulator(NETWORK, ARRAY), Emulator(NETWORK, Array(4, 4))
    found: dict[str, Any] = {
        "guarded": run_campaign(engine, X, LABELS, [1e-5, 1e-4], 3, store=path),
        "plain": run_campaign(plain, X, LABELS, [1e-5, 1e-4], 3, store=path),
        "count": run_campaign(engine, X, LABELS, [1, 20], 3, how="count", store=path),
        "maps": run_campaign(plain, X, LABELS, [0.2], 3, how="permanent uniform", store=path),
        "neuron": run_campaign(NeuronInjector(NETWORK), X, LABELS, [1e-3], 3, how="neuron", store=path),
        "stratified": run_singles(engine, X, LABELS, 120, strata=("layer", "site"), store=path),
        "single": run_singles(engine, X, LABELS, 100, store=path),
    }
    return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    path = tmp_path_factory.mktemp("report") / "store.sqlite"
    found = store_of(path)
    return path, found, render(story_of(path))


def test_names_cannot_inject_markup() -> None:
    page = checked(render(story(HOSTILE)))
    assert "&lt;script&gt;" in page


def test_the_same_story_gives_the_same_page() -> None:
    assert render(story()) == render(story())


def test_unknown_is_written_as_unknown_and_never_as_zero() -> None:
    assert "not known" in render(story())


@pytest.mark.parametrize("text", ["10 %", "92.00 %", "[90.00, 94.00]", "[3.00, 7.00]", "1e-05", "64", "Pareto front"])
def test_figures_appear(text: str) -> None:
    assert text in checked(render(story()))


def test_marks_have_hover_values() -> None:
    titles = re.findall(r"<g><title>([^<]*)</title>", render(story()))
    assert "unprotected, BER 1e-05, accuracy: 92.00 % [90.00, 94.00], 20 units" in titles
    assert any(title.startswith("1: 8x8 os, q_scale 4") and "120 LUTs" in title for title in titles)


def test_a_rate_carries_the_interval_of_the_critical_share() -> None:
    row = run_campaign(Emulator(NETWORK, ARRAY), X, LABELS, [1e-4], 2, design="d").rows[0]
    rate = rate_of(row)
    assert (rate.critical, rate.accuracy, rate.point, rate.outcomes) == (row.critical, row.accuracy, 1e-4, row.outcomes)


def test_a_store_tells_every_convention_as_its_campaigns_did(stored: tuple[Path, dict[str, Any], str]) -> None:
    _, found, page = stored
    checked(page)
    for name in ("guarded", "plain", "count", "maps", "neuron"):
        for row in found[name].rows:
            cells = [f"{row.point:.3g}", f"{100 * row.accuracy.mean:.2f} %", between(row.accuracy), f"{100 * row.critical.mean:.2f} %"]
            cells.append(between(row.critical))
            assert "".join(f'<td class="n">{cell}</td>' for cell in cells) in page, name
    for title in ("Accuracy against BER", "Accuracy against strikes", "Accuracy against faulty PEs", "Software convention"):
        assert f"<h2>{title}" in page


def test_a_store_tells_single_faults_as_their_campaign_did(stored: tuple[Path, dict[str, Any], str]) -> None:
    _, found, page = stored
    for name in ("stratified", "single"):
        result = found[name]
        for grouping in ("site", "guard"):
            for group in result.groups[grouping]:
                cells = [f"{group.trials:,}", f"{100 * group.share:.2f} %", f"{100 * group.critical.mean:.2f} %", between(group.critical)]
                row = f"<td>{group.place[grouping]}</td>" + "".join(f'<td class="n">{cell}</td>' for cell in cells)
                assert row in page, (name, group.place)
        assert f"{result.population:,} possible flips" in page
    assert "PE (3, 3): SDC-critical" in page
    assert "Vulnerability by PE" in page
    assert "<td>layer conv, site acc</td>" in page


def test_a_store_says_what_it_rests_on(stored: tuple[Path, dict[str, Any], str]) -> None:
    path, found, page = stored
    for result in found.values():
        assert result.campaign.subject in page
    for text in (NETWORK.digest, ARRAY.digest, "seed 0", "hardpoint fault model 1", f"numpy {np.__version__}", "--count 20"):
        assert text in page, text
    assert f"hardpoint report {path.name}" in page


def test_one_campaign_draws_its_array_and_its_cost(tmp_path: Path) -> None:
    run_campaign(Emulator(NETWORK, ARRAY), X, LABELS, [1e-5], 2, store=tmp_path / "s.db")
    told = story_of(tmp_path / "s.db")
    assert told.array == ARRAY
    assert {"Cost", "Cost by purpose"} <= {section.title for section in told.sections}
    assert "At BER 1e-05, the worst measured" in told.answer
    assert "100.00 % without faults" in told.answer


def test_a_campaign_that_stopped_by_itself_keeps_its_interval(tmp_path: Path) -> None:
    result = run_campaign(Emulator(NETWORK, ARRAY), X, LABELS, [1e-5], 40, until_error=0.2, store=tmp_path / "s.db")
    page = render(story_of(tmp_path / "s.db"))
    assert between(result.rows[0].accuracy) in page
    assert "confidence sequence over fault lists" in page


def test_hostile_names_in_a_store_are_text(tmp_path: Path, stored: tuple[Path, dict[str, Any], str]) -> None:
    with sqlite3.connect(stored[0]) as old, sqlite3.connect(tmp_path / "s.db") as db:
        db.executescript("\n".join(old.iterdump()))
        db.execute("DROP TRIGGER UPDATE_campaigns")
        for subject, about in db.execute("SELECT id, about FROM campaigns").fetchall():
            table = {**json.loads(about), "named": HOSTILE}
            for layer in table.get("layers", ()):
                layer["name"] = HOSTILE
            db.execute("UPDATE campaigns SET about = ? WHERE id = ?", (json.dumps(table), subject))
    db.close()
    assert "&lt;script&gt;" in checked(render(story_of(tmp_path / "s.db")))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("convention", "gamma", "a convention of fault injection is"),
        ("points", [], "a campaign needs one or more different points"),
        ("accelerator", {"rows": 8, "colums": 8}, "array has no key 'colums'"),
        ("clean_accuracy", 7, "a clean accuracy is 0 to 1, not 7"),
    ],
)
def test_a_damaged_store_is_one_line(tmp_path: Path, key: str, value: Any, message: str) -> None:
    run_campaign(Emulator(NETWORK, ARRAY), X[:2], LABELS[:2], [1e-5], 2, store=tmp_path / "s.db")
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("DROP TRIGGER UPDATE_campaigns")
        (about,) = db.execute("SELECT about FROM campaigns").fetchone()
        db.execute("UPDATE campaigns SET about = ?", (json.dumps({**json.loads(about), key: value}),))
    db.close()
    with pytest.raises(InputError, match=message):
        story_of(tmp_path / "s.db")


def fleet(chips: int = 3, name: str = "chip") -> dict[str, Any]:
    test = {"mean": 0.9, "low": 0.88, "high": 0.92, "confidence": 0.95, "units": 1000, "method": "Wilson"}
    rows: list[dict[str, Any]] = [
        {"chip": f"{name}{i}", "rate": 0.05 * i / chips, "network": f"networks/{i}.npz", "trained_for": "u", "images": 50, "validation": 0.91, "test": test}
        for i in range(chips)
    ]
    rows[-1] |= {"network": None, "validation": None, "test": None, "images": 0}
    return {
        "clean": {"validation": 0.93, "test": 0.92},
        "target": 0.905,
        "resilience": {"rates": [0.1, 0.2], "images": [50, None], "target": 0.905, "quantile": 0.5, "spent": 400},
        "resilience_epochs": 4.0,
        "policies": {
            "fused": {"epochs": 1.5, "meeting": chips - 1, "groups": [[0, 1], *([i] for i in range(2, chips))]},
            "no retraining": {"epochs": 0.0, "meeting": 1, "groups": []},
        },
        "chips": rows,
        "seconds_per_epoch": 2.0,
    }


def test_a_fleet_is_told_from_its_table(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text(json.dumps(fleet()))
    assert report_on(tmp_path, tmp_path / "page.html") == "A fleet of chips with permanent faults"
    page = checked((tmp_path / "page.html").read_text())
    assert "2 of 3 chips meet 90.50 % validation accuracy" in page
    assert "the worst chip with a network, chip0, keeps 90.00 % [88.00, 92.00] on test data" in page
    assert '<td>20 %</td><td class="n">more than the budget</td>' in page
    assert "10 % of PEs faulty: 0.5 epochs" in page
    assert '<td>fused</td><td class="n">1.50</td><td class="n">0.00</td><td class="n">2 of 3</td>' in page
    assert "0.5 epochs: 100 % of 1 chips" in page
    assert '<td>chip0, chip1</td><td class="n">1</td><td class="n">2</td>' in page


def test_a_fleet_says_what_it_asked_and_what_the_budget_does_not_save(tmp_path: Path) -> None:
    chip = pattern("uniform", 8, 8, 4, 0, 0)
    result = FleetResult(0.93, 0.92, 0.905, 100, Resilience((0.1, 0.2), (50, math.inf), 0.905, 0.5, 400), (Outcome("fused", 150, (None,), ((0,),)),), (Chip("A7", chip.rate, None, "", 0, None, None),), 2.0)  # fmt: skip
    asked = said(Fleet((chip,), seed=11), NETWORK, SimpleNamespace(name="digits"))
    write_json(tmp_path / "fleet.json", {**result.table(), "asked": asked, "versions": versions()})
    page = checked(render(story_of(tmp_path)))
    assert '<td>20 %</td><td class="n">more than the budget</td>' in page
    assert "no chip got a network" in page
    for text in (NETWORK.digest, "--seed 11", "--rows 8 --cols 8", f"numpy {np.__version__}"):
        assert text in page, text


def test_a_large_fleet_of_hostile_names_stays_small(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text(json.dumps(fleet(2000, HOSTILE)))
    page = checked(render(story_of(tmp_path / "fleet.json")))
    assert "1500 further rows are not shown" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chips": []}, "it has no chips"),
        ({"colour": 1}, "has no key 'colour'"),
        ({"policies": 3}, "is no fleet's table"),
        ({"target": None}, "is no fleet's table"),
    ],
)
def test_what_is_no_fleet_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "fleet.json").write_text(json.dumps({**fleet(), **change}))
    with pytest.raises(InputError, match=message):
        story_of(tmp_path / "fleet.json")


def test_a_study_is_told(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.sqlite", {"ber": 1e-5, "target": 0.9, "seed": 3, "networks": {"4": "d" * 16}})
    study.append(point())
    page = checked(render(story_of(tmp_path / "study.sqlite")))
    assert "8x8 os, q_scale 4, all columns guarded 14: 120 LUTs, the cheapest of 1 designs" in page
    assert "--seed 3" in page
    assert "Cost by purpose" in page


def test_what_is_nothing_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for path, message in ((tmp_path / "none", "there is no study, store or fleet"), (tmp_path / "text", "neither a study")):
        with pytest.raises(InputError, match=message):
            story_of(path)


def test_a_large_array_is_a_picture_of_pixels() -> None:
    values = np.full((64, 64), np.nan)
    values[3, 5] = 12.5
    svg = heat_map(values, {}, "SDC-critical flips (%)", 'by PE "<')
    assert "data:image/png;base64," in svg
    assert "<title>" not in svg
    assert len(svg) < 200_000
    small = heat_map(values[:4, :8], {(3, 5): "12.5 %"}, "SDC-critical flips (%)", "by PE")
    assert small.count("<title>") == 32
    assert "<title>PE (3, 5): 12.5 %</title>" in small


def test_pictures_beyond_a_pages_size_are_left_out_and_tables_stay() -> None:
    part = Section("part", [Figure("<svg>" + "x" * 900_000 + "</svg>")], [Table(["a"], [["kept"]])])
    page = checked(render(dataclasses.replace(story(), sections=[part] * 4)))
    assert page.count("Pictures are left out") == 2
    assert page.count("<td>kept</td>") == 4


def test_an_older_store_is_told_without_what_it_does_not_say(tmp_path: Path) -> None:
    run_singles(Emulator(NETWORK, ARRAY), X, LABELS, 80, store=tmp_path / "s.db")
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("DROP TRIGGER UPDATE_campaigns")
        (about,) = db.execute("SELECT about FROM campaigns").fetchone()
        kept = {key: value for key, value in json.loads(about).items() if key not in ("live", "clean_accuracy", "named")}
        db.execute("UPDATE campaigns SET about = ?", (json.dumps(kept),))
    db.close()
    page = render(story_of(tmp_path / "s.db"))
    assert "80 flips" in page
    assert "possible flips" not in page
    assert "fault-free accuracy" not in page
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.S)


def test_a_campaign_of_which_a_stratum_is_missing_says_so(tmp_path: Path) -> None:
    result = run_singles(Emulator(NETWORK, ARRAY), X, LABELS, 20, strata=("layer",), store=tmp_path / "s.db")
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("DROP TRIGGER DELETE_blocks")
        db.execute("DELETE FROM blocks WHERE point = 'layer 1'")
    db.close()
    page = render(story_of(tmp_path / "s.db"))
    assert "Not struck yet, and not part of the estimates: layer 1." in page
    assert f"{result.strata[0].trials} of " in page


def test_a_logarithmic_axis_names_its_places_once() -> None:
    """One BER, or several within a decade: matplotlib would print a label beside every minor tick, one over another."""
    marks = [Mark(ber, 1.0, 2.0, 3.0, "says") for ber in (1e-6, 1.2e-6, 4e-6)]
    svg = curves({"a": marks}, "BER", "accuracy (%)", "Accuracy against BER", logarithmic=True)
    assert re.findall(r">([0-9.e-]+)</text>", svg)[:2] == ["1e-06", "4e-06"]
    assert "10^" not in svg
    assert "tspan" not in svg
