"""The fenced blocks of the documentation: what each is, and how it is run.

A block is run in the folder of its page, in the order of the page. Around it may stand

- `<!-- not run: REASON -->` before a block that cannot be run here;
- `<!-- written to: FILE -->` before a block that is a file of the page's folder;
- a `text` block after a block: lines of what it printed, in order. Seconds may differ.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
RUN = ("sh", "python")
COMPILED = ("rust",)
"""Run by `cargo test`, as documentation tests of `ds2-core`."""
DIRECTIVES = ("{toctree}", "{commands}", "{eval-rst}")
"""Of the generator: they hold no code."""

_FENCE = re.compile(r"^```(\S*)\s*$")
_MARK = re.compile(r"^<!-- (not run|written to): (.+) -->$")
_SECONDS = re.compile(r"(\d+ min )?\d+(\.\d+)? m?s\b")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    mark: str
    said: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_left_out(self) -> bool:
        return self.mark == "not run"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, each with the mark on the line before it."""
    blocks: list[Block] = []
    lines = iter(enumerate(page.read_text("utf-8").splitlines(), 1))
    before = ""
    for number, line in lines:
        fence = _FENCE.match(line.lstrip())
        if fence:
            body = []
            for _, inner in lines:
                if inner.lstrip() == "```":
                    break
                body.append(inner)
            mark, said = _MARK.match(before).groups() if _MARK.match(before) else ("", "")
            text = "\n".join(body)
            blocks.append(Block(name_of(page), number, fence[1], text, mark, said))
            before = ""
        elif line.strip():
            before = line.strip()
    return blocks


def run(block: Block, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a block as its reader would; returns what it printed."""
    command = {
        "sh": ["bash", "-euo", "pipefail", "-c", block.text],
        "python": [sys.executable, "-c", block.text],
    }[block.language]
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}\n{block.text}\n\n{done.stdout}"
    return done.stdout


def first_line_missing(shown: str, printed: str) -> str | None:
    """The first line of `shown` that `printed` does not have after the line before it."""
    left = iter([normalized(line) for line in printed.splitlines()])
    for line in shown.splitlines():
        if line.strip() not in ("", "...") and normalized(line) not in left:
            return line
    return None


def normalized(line: str) -> str:
    return _SECONDS.sub("# s", line).rstrip()
