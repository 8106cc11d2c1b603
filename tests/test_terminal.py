"""The bar of a stage on a terminal."""

from __future__ import annotations

import io
import re

import pytest

from ds2_fast.terminal import TerminalNarrator


class Terminal(io.StringIO):
    def isatty(self):
        return True


def open_terminal(monkeypatch, columns="100"):
    """Not a fixture: pytest puts its own stderr back before the test begins."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    return stream, TerminalNarrator()


@pytest.mark.parametrize("columns", ["120", "60", "38"])
def test_the_bar_counts_and_is_gone_at_the_end(monkeypatch, columns):
    terminal, narrator = open_terminal(monkeypatch, columns)
    with narrator.stage("embedding", "samples") as progress:
        for done in (0, 500, 2000):
            progress(done, 2000)
    text = re.sub(r"\x1b\[[\d;?]*\w", "", terminal.getvalue())
    assert "embedding" in text
    assert columns == "38" or "eta --:--" in text
    assert columns == "38" or "2,000/2,000 samples" in text
    assert terminal.getvalue().endswith("\x1b[2K"), "the line of the bar is wiped"


def test_a_stage_that_fails_under_its_bar_says_why(monkeypatch):
    _, narrator = open_terminal(monkeypatch)
    with pytest.raises(KeyboardInterrupt), narrator.stage("neighbors", "rows") as progress:
        progress(0, 10)
        raise KeyboardInterrupt


def test_a_stage_that_never_reports_shows_no_bar(monkeypatch):
    terminal, narrator = open_terminal(monkeypatch)
    with narrator.stage("long tail", "rows"):
        pass
    assert terminal.getvalue() == ""
