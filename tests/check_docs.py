"""Run every command that a page shows, as written, in a fresh copy of the project, and compare what the page shows.

    python tests/check_docs.py [--install] README.md docs/tutorial.md

Commands are console blocks (`$ command`, the other lines being its output), sh blocks, and plain or indented blocks in
which every line starts with a word of COMMANDS. One shell runs a page from top to bottom. Output is compared as
doctests are: `...` stands for anything, white space counts once. A shown line that starts with "hardpoint: " is an
error: its command must exit with 2 and print that one line. A block is left out, by name, after a comment
`<!-- check-docs: skip: REASON -->` whose reason is one of REASONS.
"""

from __future__ import annotations

import argparse
import doctest
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("hardpoint", "make", "python", "pip", "source", "cd", "git")
REASONS = ("needs a board", "needs Vivado", "needs data", "runs elsewhere")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SECONDS = 1800
ERROR = "hardpoint: "
_SKIP = re.compile(r"<!-- check-docs: skip: (.+?) -->")


@dataclass(frozen=True)
class Command:
    """A command of a page, the output that the page shows (None: nothing shown), and why it is left out, if it is."""

    line: int
    text: str
    shown: str | None = None
    skipped: str = ""

    def verdict(self, code: int, out: str, err: str) -> str:
        """What is wrong with how it ended, empty if nothing."""
        fails = self.shown is not None and self.shown.startswith(ERROR)
        if code != (2 if fails else 0):
            return f"exit code {code}\n{out}{err}"
        if self.shown is None:
            return ""
        checker, example = doctest.OutputChecker(), doctest.Example("", self.shown)
        got = err if fails else out
        return "" if checker.check_output(example.want, got, FLAGS) else checker.output_difference(example, got, FLAGS)


def commands(page: str) -> list[Command]:
    """The commands of a page in Markdown, in their order."""
    found: list[Command] = []
    reason = ""
    for token in MarkdownIt().parse(page):
        if token.type == "html_block" and (comment := _SKIP.search(token.content)):
            reason = comment.group(1)
            if not reason.startswith(REASONS):
                raise SystemExit(f"a block is left out for one of {REASONS}, not because {reason!r}")
        elif token.type in ("fence", "code_block") and token.map is not None:
            first = token.map[0] + (2 if token.type == "fence" else 1)
            found += [
                Command(first + at, text, shown, reason) for at, text, shown in _of_block(token.info.strip(), token.content)
            ]
            reason = ""
    return found


def _of_block(language: str, content: str) -> Iterator[tuple[int, str, str | None]]:
    """Line in the block, command and shown output of every command in a block; nothing if it holds none."""
    numbered: list[tuple[int, str]] = []
    for number, line in enumerate(content.splitlines()):
        if numbered and numbered[-1][1].endswith("\\"):
            numbered[-1] = (numbered[-1][0], f"{numbered[-1][1]}\n{line}")
        else:
            numbered.append((number, line))
    if language == "console":
        starts = [place for place, (_, line) in enumerate(numbered) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(numbered)], strict=True):
            output = "\n".join(line for _, line in numbered[start + 1 : end]).strip()
            yield numbered[start][0], numbered[start][1][2:], output + "\n" if output else None
        return
    asked = [(number, line) for number, line in numbered if line.strip() and not line.startswith("#")]
    if language in ("sh", "bash") or (not language and all(line.split()[0] in COMMANDS for _, line in asked)):
        yield from ((number, line, None) for number, line in asked)


def fresh_copy(folder: Path, install: bool) -> None:
    """The project's files in `folder`; without `install` its environment is this one's, its packages the copy's."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if install:
        return
    (folder / ".venv").symlink_to(Path(sys.prefix))
    for name in ("requirements.txt", "pyproject.toml"):
        os.utime(folder / name, (0, 0))  # else make would install the copy into the environment that is borrowed
    subprocess.run(("make", "--silent", "types"), cwd=folder, check=True)


def run(page: str, folder: Path, seconds: float, path: str = "") -> Iterator[tuple[Command, str, float]]:
    """Run a page's commands in `folder`; yields each command with what is wrong, empty if nothing, and its seconds."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")}
    if path:
        environment["PYTHONPATH"] = path
    out, err, code = (folder.parent / f"{folder.name}.{name}" for name in ("out", "err", "code"))
    with subprocess.Popen(
        ("bash", "--noprofile", "--norc"), stdin=subprocess.PIPE, text=True, cwd=folder, env=environment, start_new_session=True
    ) as shell:  # fmt: skip
        assert shell.stdin is not None
        for command in commands(page):
            if command.skipped:
                yield command, "", 0.0
                continue
            code.unlink(missing_ok=True)
            began = time.monotonic()
            shell.stdin.write(f"{{ {command.text}\n}} >{out} 2>{err} </dev/null\necho $? >{code}.new; mv {code}.new {code}\n")
            shell.stdin.flush()
            while not code.exists():
                took = time.monotonic() - began
                if shell.poll() is not None:
                    yield command, "the shell ended", took
                    return
                if took > seconds:
                    os.killpg(shell.pid, signal.SIGKILL)
                    yield command, f"no end after {took:.0f} s", took
                    return
                time.sleep(0.02)
            said = (int(code.read_text()), out.read_text(errors="replace"), err.read_text(errors="replace"))
            yield command, command.verdict(*said), time.monotonic() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every command with its fate; the exit code is 1 if one failed."""
    parser = argparse.ArgumentParser(description="Run every command that pages show.")
    parser.add_argument("--install", action="store_true", help="set the copy up from nothing, as a new user does")
    parser.add_argument("pages", nargs="+", type=Path)
    given = parser.parse_args(arguments)
    failed = 0
    for page in given.pages:
        with tempfile.TemporaryDirectory(prefix="hardpoint-docs-") as name:
            folder = Path(name) / "hardpoint"
            folder.mkdir()
            fresh_copy(folder, given.install)
            text = page.read_text(encoding="utf-8")
            for command, wrong, took in run(text, folder, SECONDS, "" if given.install else str(folder / "build" / "types")):
                fate = f"skipped, {command.skipped}" if command.skipped else "FAILED" if wrong else f"ok, {took:.1f} s"
                print(f"{page}:{command.line}: {command.text.splitlines()[0]}: {fate}", flush=True)
                if wrong:
                    failed += 1
                    print("    " + wrong.strip().replace("\n", "\n    "), flush=True)
    print(f"{failed} commands failed" if failed else "every command ran and showed what the pages say")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
