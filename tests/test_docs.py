"""The documentation builds without a warning, names what exists, and its commands are found and judged as promised."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest
import typer
from check_docs import Command, commands, main, run
from defusedxml.ElementTree import fromstring
from markdown_it import MarkdownIt

from hardpoint.cli import app

pytestmark = pytest.mark.pc

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html")
    done = subprocess.run((*build, "-d", tmp_path / "trees", DOCS, tmp_path / "site"), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for page in (*DOCS.glob("*.md"), *DOCS.glob("api/*.md")):
        title = re.search(r"^# (.+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        html = (tmp_path / "site" / page.relative_to(DOCS).with_suffix(".html")).read_text(encoding="utf-8")
        assert title is not None
        assert f"<h1>{title[1]}<" in html, page  # the page itself, not one of the site's own
    elsewhere = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//""")
    loading = [page.name for page in (tmp_path / "site").rglob("*.html") if elsewhere.search(page.read_text(encoding="utf-8"))]
    assert loading == []  # it reads without a network


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "bitstreams/README.md"])
def test_links_outside_the_site_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"""\]\(([^)#\s]+)|(?:src|srcset|href)="([^"#]+)\"""", text)
    local = [target for pair in targets for target in pair if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (ROOT / page).parent.joinpath(target).exists()] == []


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{page.name}" for page in sorted(DOCS.glob("*.md")))])
def test_options_that_pages_show_exist(page: str) -> None:
    verbs = typer.main.get_command(app).commands
    wrong = []
    for block in MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8")):
        lines = block.content.replace("\\\n", " ").splitlines() if block.type in ("fence", "code_block") else []
        for line in lines:
            words = shlex.split(line.removeprefix("$ "), comments=True) if re.match(r"(\$ )?hardpoint [a-z]+( |$)", line) else []
            if words and words[1] not in verbs:
                wrong.append(line)
            elif words:
                known = {name for option in verbs[words[1]].params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
                wrong += [f"{line}: {word}" for word in words[2:] if word.startswith("-") and word.partition("=")[0] not in known]
    assert wrong == []


# A file, or a name in a file, as pages write it: `hls/boards.py`, `hls/boards.py: BOARDS`.
_PLACE = re.compile(r"`((?:hardpoint|hls|host|training|optimizer|tests|docs|benchmarks)/[\w./*-]*)(?:: ([\w.]+))?`")


def defined(path: Path) -> set[str]:
    """Names that a Python file defines: `name`, and `Class.name` for what classes hold."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{node.name}.")
            elif isinstance(node, ast.Assign):
                found.update(prefix + target.id for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(prefix + node.target.id)

    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


@pytest.mark.parametrize("page", [page.name for page in sorted(DOCS.glob("*.md"))])
def test_places_in_the_code_exist(page: str) -> None:
    missing = []
    for name, inside in _PLACE.findall((DOCS / page).read_text(encoding="utf-8")):
        places = list(ROOT.glob(name.rstrip("/")))
        known = {word for place in places if place.is_file() for word in names_in(place)} if inside else set()
        if not places or (inside and inside not in known):
            missing.append(f"{name}: {inside}" if inside else name)
    assert missing == []


def names_in(place: Path) -> set[str]:
    return defined(place) if place.suffix == ".py" else set(re.findall(r"\w+", place.read_text(encoding="utf-8")))


def test_every_step_of_extending_names_a_place() -> None:
    text = (DOCS / "extending.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\d+\. .*(?:\n {3}.*)*", text, re.MULTILINE)
    assert len(steps) > 15
    assert [step for step in steps if not _PLACE.search(step)] == []


def test_every_public_name_on_the_api_pages_is_documented() -> None:
    bare = []
    for page in DOCS.glob("api/*.rst"):
        for name in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8")):
            module = importlib.import_module(name)
            own = [getattr(module, public) for public in module.__all__]
            bare += [f"{name}.{one.__name__}" for one in own if isinstance(one, type | FunctionType) and not one.__doc__]
            assert module.__doc__, name
    assert bare == []


def test_a_drawing_is_that_of_its_table(tmp_path: Path) -> None:
    shutil.copytree(DOCS / "pictures", tmp_path / "pictures")
    (tmp_path / "pictures" / "where.svg").unlink()
    subprocess.run((sys.executable, tmp_path / "pictures" / "where.py"), check=True)
    assert (tmp_path / "pictures" / "where.svg").read_bytes() == (DOCS / "pictures" / "where.svg").read_bytes()


@pytest.mark.parametrize("picture", [picture.name for picture in sorted((DOCS / "pictures").glob("*.svg"))])
def test_pictures_say_what_they_show_and_load_nothing(picture: str) -> None:
    root = fromstring((DOCS / "pictures" / picture).read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    title = root.find(f"{space}title")
    assert (root.tag, root.get("role")) == (f"{space}svg", "img")
    assert title is not None
    assert title.text
    assert [key for node in root.iter() for key in node.attrib if key.endswith("href")] == []


def test_commands_are_found_in_every_kind_of_block() -> None:
    page = (
        "Text.\n\n"
        "    hardpoint doctor     # what is there\n    make demo\n\n"
        "More text.\n\n    a drawing -> of things\n    make of it what you like\n\n"
        "```console\n$ hardpoint cost --rows 4 \\\n    --cols 4\n8 LUT\n\n$ hardpoint run x\nhardpoint: no x\n```\n\n"
        "<!-- check-docs: skip: needs a board -->\n```sh\nhardpoint run n.npz --device zynq\n```\n"
        "```python\nhardpoint\n```\n"
    )
    assert [(found.line, found.text, found.shown, found.skipped) for found in commands(page)] == [
        (3, "hardpoint doctor     # what is there", None, ""),
        (4, "make demo", None, ""),
        (12, "hardpoint cost --rows 4 \\\n    --cols 4", "8 LUT\n", ""),
        (16, "hardpoint run x", "hardpoint: no x\n", ""),
        (22, "hardpoint run n.npz --device zynq", None, "needs a board"),
    ]


def test_a_block_is_left_out_for_a_known_reason_only() -> None:
    with pytest.raises(SystemExit, match="not because 'it fails'"):
        commands("<!-- check-docs: skip: it fails -->\n\n    make demo\n")


@pytest.mark.parametrize(
    ("shown", "code", "out", "err", "right"),
    [
        (None, 0, "anything", "", True),
        (None, 1, "", "broken", False),
        ("8 LUT\n", 0, "8  LUT\n", "a progress bar", True),
        ("8 LUT\n", 0, "9 LUT\n", "", False),
        ("... LUT\n", 0, "9 LUT\n", "", True),
        ("8 LUT\n", 0, "8 LUT\nand more\n", "", False),
        ("hardpoint: no x\n", 2, "", "hardpoint: no x\n", True),
        ("hardpoint: no x\n", 2, "", "hardpoint: no y\n", False),
        ("hardpoint: no x\n", 0, "", "hardpoint: no x\n", False),
    ],
)
def test_a_command_is_judged_by_exit_code_and_by_what_is_shown(
    shown: str | None, code: int, out: str, err: str, right: bool
) -> None:
    assert (Command(1, "x", shown).verdict(code, out, err) == "") is right


def test_one_shell_runs_a_page_and_a_hanging_command_ends_it(tmp_path: Path) -> None:
    page = "```sh\nexport WHO=me\ncd /\necho $WHO $PWD; false\ncat\nsleep 60\necho not reached\n```\n"
    folder = tmp_path / "copy"
    folder.mkdir()
    fates = [(command.text, wrong) for command, wrong, _ in run(page, folder, 1.5)]
    assert [text for text, _ in fates] == ["export WHO=me", "cd /", "echo $WHO $PWD; false", "cat", "sleep 60"]
    assert [wrong.partition(" after ")[0] for _, wrong in fates] == ["", "", "exit code 1\nme /\n", "", "no end"]


def test_a_page_that_lies_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ hardpoint emit none.npz --out project\nhardpoint: all is well\n```\n\n    python --version\n")
    assert main([str(page)]) == 1
    said = capsys.readouterr().out
    assert f"{page}:2: hardpoint emit none.npz --out project: FAILED\n" in said
    assert f"{page}:6: python --version: ok, " in said
    assert said.endswith("1 commands failed\n")
