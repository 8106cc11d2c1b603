"""Several raters, from `--model` repeated and from a file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ds2_fast.cli.rating_options import OPTION_NAMES
from ds2_fast.errors import RatingError

_EXAMPLE = (
    'write a table `[[rater]]` with `model = "provider/name"` for each, and options of `rate`'
)


def gather_raters(
    models: Sequence[str], file: Path | None, options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Collect the raters and the options of each.

    Args:
        models: those named on the command line; they share its options.
        file: TOML tables `[[rater]]`: a `model`, and any argument of `ds2_fast.rating.rate` that is
            to differ from the command line's for this rater.
        options: those of the command line.

    Returns:
        Options by model, in the order named.

    Raises:
        RatingError: if the file cannot be read or says what is not known, or a model comes twice.
    """
    found = {model: dict(options) for model in models}
    if len(found) < len(models):
        twice = next(model for i, model in enumerate(models) if model in models[:i])
        raise RatingError(
            f"the rater `{twice}` is named twice", "`--repeats` asks one several times"
        )
    for place, table in enumerate(_tables(file), 1):
        where = f"`{file}`, rater {place}"
        model = table.pop("model", None)
        if not isinstance(model, str) or not model:
            raise RatingError(f"{where}: `model` must be a text, got {model!r}", _EXAMPLE)
        if unknown := sorted(set(table) - set(OPTION_NAMES)):
            raise RatingError(
                f"{where}: unknown key `{unknown[0]}`",
                f"known are {', '.join(sorted(OPTION_NAMES))}",
            )
        if model in found:
            raise RatingError(f"{where}: `{model}` is named twice", "name each rater once")
        found[model] = {**options, **table}
    return found


def _tables(file: Path | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RatingError(f"cannot read the raters `{file}`: {error.strerror}") from error
    except ValueError as error:
        raise RatingError(f"the raters `{file}` are not valid TOML: {error}") from error
    tables = content.pop("rater", None)
    if content or not (isinstance(tables, list) and all(isinstance(t, dict) for t in tables)):
        what = f"unknown key `{next(iter(content))}`" if content else "no tables `[[rater]]`"
        raise RatingError(f"the raters `{file}`: {what}", _EXAMPLE)
    return [dict(table) for table in tables]
