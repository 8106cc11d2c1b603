"""An explanation as lines for a terminal of any width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from ds2_fast.explaining.explanation import Explanation, Heard, Place, Verdict

TURN_SHOWN, LINES_SHOWN = 480, 12
"""Characters and lines of a turn that are shown."""

LEAST_TEXT = 30
INDENT = "  "
_OWN = {
    "default": "the expected score in steps of 0.25",
    "paper": "the curated score",
    "reference": "the curated score",
}


def lay_out(found: Explanation, width: int) -> Iterator[tuple[str, str]]:
    """Write an explanation as lines: a style (`bold`, `dim` or none) and the text.

    Args:
        found: what is explained.
        width: of the terminal, in characters; lines are at most so long where that can be.
    """
    head = printable(f"{name_sample(found.row, found.id)}: {_fate(found)}")
    for line in textwrap.wrap(head, max(width, LEAST_TEXT)):
        yield "bold", line
    for role, content in found.turns or ():
        yield "", ""
        yield "dim", f"[{role}]"
        yield from shorten_turn(content, width)
    for verdict in found.verdicts:
        yield "", ""
        yield from _score(verdict, width)
    yield "", ""
    yield from _ranking(found, width)
    yield "", ""
    yield "bold", "Neighbors, nearest first"
    for heard in found.neighbors:
        yield from _neighbor(heard, found, width)


def name_sample(row: int, id: str | None) -> str:
    """Name a sample by its row, and by its id if that says more."""
    return f"row {row}" if id in (None, str(row)) else f"row {row}, id {id}"


def _fate(found: Explanation) -> str:
    rank = "" if found.rank is None else f", rank {found.rank:,} of {found.ranked:,}"
    if found.n is None:
        return f"nothing was to be selected{rank}"
    if found.selected:
        return f"selected among {found.n:,}{rank}"
    return f"not selected ({found.reason}){rank}"


def _score(verdict: Verdict, width: int) -> Iterator[tuple[str, str]]:
    yield "bold", printable(f"Score by {verdict.rater}: {_change(verdict)}")
    yield from wrap_line(verdict.why, width)
    if verdict.score is None and verdict.status not in ("ok", "unrated"):
        yield "", f"{INDENT}no rating: {verdict.status}"
    given = [f"{name} {_plain(value)}" for name, value in verdict.criteria.items() if value]
    if given:
        yield from wrap_line(f"by criterion: {', '.join(given)}", width)
    yield from _class_table(verdict)
    if verdict.neighbor_k is not None:
        share = "" if verdict.noise_share is None else f"; noise share {verdict.noise_share:.0%}"
        told = f"{verdict.neighbor_k} neighbors heard, each with weight {verdict.beta:g}{share}"
        yield from wrap_line(told, width)
    if verdict.noise is not None:
        told = f"expected score {verdict.expected:.4f}; the rating is wrong with probability "
        yield from wrap_line(f"{told}{verdict.noise:.0%}", width)


def _change(verdict: Verdict) -> str:
    if verdict.score is None:
        return "unrated"
    own, now = (
        "none" if place is None else verdict.classes[place]
        for place in (verdict.score, verdict.curated)
    )
    return own if now == own else f"{own}, curated {now}"


def _class_table(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """One line for each class: who says it, and how probable it is."""
    columns = {
        "neighbors": verdict.heard and [str(count) for count in verdict.heard],
        "they say": verdict.neighbors_say and [f"{part:.0%}" for part in verdict.neighbors_say],
        "posterior": verdict.posterior and [f"{part:.0%}" for part in verdict.posterior],
    }
    shown = {name: cells for name, cells in columns.items() if cells}
    if not shown:
        return
    first = max(5, *map(len, verdict.classes))
    yield "dim", INDENT + "  ".join(["score".ljust(first), *shown])
    for place in reversed(range(len(verdict.classes))):
        marks = [
            mark
            for mark, at in (("rated", verdict.score), ("curated", verdict.curated))
            if at == place
        ]
        cells = [cells[place].rjust(len(name)) for name, cells in shown.items()]
        mark = f"  < {' and '.join(marks)}" if marks else ""
        yield "", INDENT + "  ".join([verdict.classes[place].ljust(first), *cells]) + mark


def _ranking(found: Explanation, width: int) -> Iterator[tuple[str, str]]:
    yield "bold", "Ranking"
    if len(found.verdicts) > 1 and found.expected is not None:
        told = f"the raters' common score {found.expected:.4f}, their curated scores standardized"
        yield from wrap_line(told, width)
    rare = f"rarity {found.long_tail:.4f}: rarer than {found.rarer_than:.1%} of the pool"
    yield from wrap_line(rare, width)
    if found.duplicate_of is not None:
        yield "", f"{INDENT}a near duplicate: row {found.duplicate_of} stands for it"
    if found.stands_for:
        rows = ", ".join(str(row) for row in found.stands_for)
        yield from wrap_line(f"stands for its near duplicates: rows {rows}", width)
    if found.bucket is None:
        yield "", f"{INDENT}not eligible"
        return
    yield from wrap_line(f"sorted by {_OWN[found.order]} (the bucket), then by rarity", width)
    own = "this sample" if found.rank is None else f"rank {found.rank:,}, this sample"
    yield "", f"{INDENT}{own}: bucket {found.bucket:g}, rarity {found.long_tail:.4f}"
    for what, place in (("last in", found.last_in), ("first out", found.first_out)):
        if place is not None and place.row != found.row:
            yield from _at_cut(what, place, width)


def _at_cut(what: str, place: Place, width: int) -> Iterator[tuple[str, str]]:
    head = f"rank {place.rank:,}, {what}: bucket {place.bucket:g}, rarity {place.long_tail:.4f}"
    yield "", INDENT + head
    yield (
        "dim",
        INDENT * 2
        + in_one_line(f"{name_sample(place.row, place.id)}  {place.text or ''}", width - 4),
    )


def _neighbor(heard: Heard, found: Explanation, width: int) -> Iterator[tuple[str, str]]:
    given = "/".join(
        "-" if score is None else verdict.classes[score]
        for score, verdict in zip(heard.scores, found.verdicts, strict=True)
    )
    curated = "" if heard.curated is None else f" curated {found.classes[heard.curated]}"
    taken = " selected" if heard.selected else ""
    head = f"{heard.similarity:.4f}  score {given}{curated}{taken}"
    text = f"{name_sample(heard.row, heard.id)}  {heard.text or ''}"
    room = width - len(INDENT) - len(head) - 2
    if room >= LEAST_TEXT:
        yield "", f"{INDENT}{head}  {in_one_line(text, room)}"
    else:
        yield "", INDENT + head
        yield "dim", INDENT * 2 + in_one_line(text, width - 4)


def wrap_line(text: str, width: int) -> Iterator[tuple[str, str]]:
    """Give a text as indented lines, in no style."""
    for line in textwrap.wrap(text, max(width - len(INDENT), LEAST_TEXT)):
        yield "", INDENT + line


def shorten_turn(content: str, width: int) -> Iterator[tuple[str, str]]:
    """Give the beginning of a turn, its lines as they are, wrapped."""
    lines = []
    for line in _cut(printable(content.strip()), TURN_SHOWN).splitlines():
        lines += textwrap.wrap(line, max(width - len(INDENT), LEAST_TEXT)) or [""]
    if len(lines) > LINES_SHOWN:
        lines = [*lines[: LINES_SHOWN - 1], "…"]
    for line in lines:
        yield "", INDENT + line


def in_one_line(text: str, width: int) -> str:
    """Give the beginning of a text in one line, in what can be printed."""
    return _cut(printable(" ".join(text.split())), max(width, LEAST_TEXT - len(INDENT)))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "yes" if value is True else str(value)
