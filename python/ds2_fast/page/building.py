"""The page: sections in their order, put into the template."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from ds2_fast.atomic import atomic_path
from ds2_fast.page.atlas import atlas_section
from ds2_fast.page.calibration import calibration_section
from ds2_fast.page.examples import examples_section
from ds2_fast.page.length import length_section
from ds2_fast.page.origin import origin_section
from ds2_fast.page.rarity import rarity_section
from ds2_fast.page.raters import raters_section
from ds2_fast.page.scores import scores_section
from ds2_fast.page.selection import selection_section
from ds2_fast.page.shares import shares_section
from ds2_fast.page.strategy import strategy_sections
from ds2_fast.page.texts import Texts
from ds2_fast.page.transition import transition_section
from ds2_fast.page.verdict import verdict_section
from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from jinja2 import Environment

    from ds2_fast.pool import Pool

PAGE = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"


def write_page(
    report: Mapping[str, Any], manifest: Mapping[str, Any], pool: Pool | None, file: Path
) -> None:
    """Write the report of a run as one HTML file that needs no other file and no network.

    Args:
        report: as `ds2_fast.report.build_report` made it.
        manifest: of the run.
        pool: the samples, for their texts; None shows none.
        file: where to.

    Raises:
        RunError: if the file cannot be written.

    Cost: about a second, whatever the pool; one to three megabytes.
    """
    page = build_page(report, manifest, pool)
    with atomic_path(file) as temporary:
        temporary.write_text(page, "utf-8", newline="\n")


def build_page(report: Mapping[str, Any], manifest: Mapping[str, Any], pool: Pool | None) -> str:
    """Make the page; the same report and pool give the same bytes.

    Args:
        report: as `ds2_fast.report.build_report` or `ds2_fast.strategy_report.strategy_report`
            made it.
        manifest: of the run.
        pool: the samples, for their texts; None shows none.
    """
    texts = Texts(pool)
    if "strategy" in report:
        return render("strategy.html", **strategy_sections(report, manifest, texts))
    return render(
        "report.html",
        num_classes=len(report["scores"]["classes"]),
        sizes=report["selection"]["sizes"],
        samples=report["pool"]["samples"],
        texts_known=texts.known,
        verdict=verdict_section(report),
        selection=selection_section(report),
        scores=scores_section(report),
        matrices=transition_section(report),
        raters=raters_section(report),
        calibrations=calibration_section(report),
        rarity=rarity_section(report),
        length=length_section(report),
        shares=shares_section(report),
        atlas=atlas_section(report, texts),
        examples=examples_section(report, texts),
        origin=origin_section(report, manifest),
    )


def render(template: str, **values: object) -> str:
    """Fill a template; all that is not markup is escaped.

    Args:
        template: name of the file among the package's templates.
        values: what it shows.
    """
    script = (_TEMPLATES / "page.js").read_text("utf-8")
    style = (_TEMPLATES / "page.css").read_text("utf-8")
    return (
        _environment()
        .get_template(template)
        .render(script=script, script_digest=_digest(script), style=style, **values)
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    environment.filters["count"] = _count
    environment.filters["percent"] = _percent
    environment.filters["number"] = _number
    environment.filters["signed"] = _signed
    environment.filters["clauses"] = _clauses
    return environment


def _shown(value: object) -> object:
    """What is printed: of text only what can be, as names and settings come from files, too."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _count(value: int) -> str:
    return f"{value:,}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:+.{digits}f}"


def _clauses(line: str) -> Markup:
    """A line of the terminal's words: what stands in backticks is code."""
    parts = line.split("`")
    if len(parts) % 2 == 0:
        return escape(line)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def _digest(script: str) -> str:
    """What the page allows to run: this script, and nothing that came with a text."""
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
