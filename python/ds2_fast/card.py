"""A dataset card: what a subset is and how it was chosen, for whoever gets it without the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

PAPER = "https://arxiv.org/abs/2410.10877"

_UNSAID = frozenset({"n", "seed"})


@dataclass(frozen=True)
class Subset:
    """What is written beside the card.

    Attributes:
        size: samples.
        columns: names of its columns.
        shape: what it was converted to; None if it was not.
        name: the dataset folder or file.
        is_folder: whether it is a dataset folder, whose card tells the hub where the data is.
    """

    size: int
    columns: Sequence[str]
    shape: str | None
    name: str
    is_folder: bool


def write_card(report: Mapping[str, Any], manifest: Mapping[str, Any], subset: Subset) -> str:
    """Write the README.md of a subset from the report and the manifest of its run.

    The card names the pool's files without their folders, the scores, the space, the settings that
    are set, the verdict of the trust check, the digests that tell whether a rerun is the same, and
    the columns. It states no license: that is the pool's.

    Args:
        report: `report.json` of the run.
        manifest: `manifest.json` of the run.
        subset: what the card is about.

    Returns:
        Markdown; for a dataset folder with the header that the hub reads.
    """
    lines = [*_header(subset), f"# {PurePath(subset.name).name}", ""]
    lines += _origin(report, subset)
    lines += ["", "## How it was chosen", "", *_method(report, manifest, subset)]
    if "trust" in report or "raters" in report:
        lines += ["", "## Is the curation to be trusted?", "", *_trust(report)]
    else:
        lines.append("")
    lines += ["## Columns", "", ", ".join(f"`{name}`" for name in subset.columns)]
    lines += ["", "## License", "", "That of the pool; look it up before you pass this on."]
    return "\n".join(lines) + "\n"


def _header(subset: Subset) -> list[str]:
    if not subset.is_folder:
        return []
    return [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*",
        "tags:",
        "- ds2-fast",
        "---",
        "",
    ]


def _origin(report: Mapping[str, Any], subset: Subset) -> Iterator[str]:
    pool = report["pool"]
    names = ", ".join(f"`{PurePath(name).name}`" for name in pool["sources"][:5]) or "memory"
    more = len(pool["sources"]) - 5
    if more > 0:
        names += f" and {more:,} more files"
    yield (
        f"{subset.size:,} of the {pool['samples']:,} instruction samples of {names}, best first, "
        f"chosen by ds2-fast {report['ds2_fast']} with the {_called(report)}."
    )
    if subset.shape is not None:
        yield f"The samples were converted from `{pool['schema']}` to `{subset.shape}`."


def _called(report: Mapping[str, Any]) -> str:
    if "strategy" in report:
        return f"selection strategy `{report['strategy']['name']}`"
    return f"DS2 method ({PAPER})"


def _method(
    report: Mapping[str, Any], manifest: Mapping[str, Any], subset: Subset
) -> Iterator[str]:
    yield from ("| what | how |", "|---|---|")
    if "strategy" in report:
        for part in report["strategy"]["parts"]:
            yield _row(f"`{part['name']}`", part["title"])
            yield _row("published in", part["source"] or "-")
    else:
        features = report["features"]
        yield _row("scores", report["scores"]["source"])
        yield _row("space", f"{features['space']}, {features['dimensions']} dimensions")
    for name, value in report["settings"].items():
        if name not in _UNSAID and value not in (None, [], {}, False):
            yield _row(name.replace("_", " "), _worded(value))
    yield _row("seed", report["settings"]["seed"])
    of_run = manifest.get("provenance", {}).get("stages", manifest["stages"])
    for stage, entry in manifest["stages"].items():
        if stage in {"neighbors", "curation", "selection"} and stage in of_run:
            yield _row(f"digest of {stage}", f"`{entry['digest']}`")
    if subset.size == max(report["selection"]["sizes"]):
        yield ""
        yield from ("| mean | pool | selected |", "|---|---|---|")
        for name, mean in report["selection"]["means"].items():
            # Scores of a strategy may be lengths, or probabilities.
            digits = ".4g" if name == "strategy_score" else ".2f"
            pool, chosen = ("-" if each is None else f"{each:{digits}}" for each in mean.values())
            yield f"| {name.replace('_', ' ')} | {pool} | {chosen} |"


def _worded(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_worded(each) for each in value)
    if value is True:
        return "yes"
    if isinstance(value, str) and len(PurePath(value).parts) > 1:
        return PurePath(value).name  # where it lies is nobody's business
    return str(value)


def _row(name: str, value: object) -> str:
    return f"| {name} | {str(value).replace('|', ' ')} |"


def _trust(report: Mapping[str, Any]) -> Iterator[str]:
    for rater in report.get("raters") or [report]:
        of = f" for `{rater['rater']}`" if "rater" in rater else ""
        yield f"Verdict of the trust check{of}: **{rater['trust']['verdict']}**."
        yield ""
        yield from (f"- {word}" for word in rater["trust"]["words"])
        yield ""
