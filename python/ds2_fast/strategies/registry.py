"""Which strategies there are: the package's own, and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import Any, get_type_hints

import numpy as np

from ds2_fast.errors import PoolError, RunError
from ds2_fast.strategies.plan import Plan, assemble
from ds2_fast.strategies.strategy import Strategy

GROUP = "ds2_fast.strategies"
"""Entry points of this group add strategies: `name = "package.module:Class"`."""

BUILT_IN: Mapping[str, str] = {
    "ds2": "ds2:Ds2",
    "ds2-raw": "ds2:Ds2Raw",
    "alpagasus": "alpagasus:AlpaGasus",
    "deita": "deita:Deita",
    "less": "less:Less",
    "longest": "longest:Longest",
    "perplexity": "perplexity:Perplexity",
    "ifd": "ifd:Ifd",
    "superfiltering": "superfiltering:Superfiltering",
    "instag": "instag:InsTag",
    "qurating": "qurating:QuRating",
    "mods": "mods:Mods",
    "knn": "knn:Knn",
    "random": "random:Random",
    "all": "everything:Everything",
    "ids": "ids:Ids",
    "column": "column:Column",
    "kcenter": "kcenter:KCenter",
    "mmr": "mmr:Mmr",
    "facility": "facility:Facility",
    "tree": "tree:Tree",
    "dq": "dq:Dq",
    "zip": "compression:Zip",
    "target": "target:Target",
    "dsir": "dsir:Dsir",
    "semdedup": "semdedup:SemDedup",
}
"""Name to module and class in this package, in the order they are listed."""

IS_DS2 = ("ds2", "ds2-raw")
"""Names that alone are the line of stages of `ds2_fast.select` itself."""


def strategy_names() -> list[str]:
    """List all names: the package's own, then those of other packages, each in its order."""
    return [*BUILT_IN, *(name for name in _entry_points() if name not in BUILT_IN)]


def find_strategy(name: str) -> type[Strategy]:
    """Look a strategy up.

    Args:
        name: its name.

    Raises:
        PoolError: there is none of that name.
        RunError: another package's cannot be loaded, or is none.
    """
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: type[Strategy] = getattr(import_module(f"{__package__}.{module}"), attribute)
        return found
    points = _entry_points()
    if name not in points:
        from ds2_fast.pool.phrases import nearest

        raise PoolError(
            f"there is no strategy `{name}`", nearest(name, strategy_names(), "strategies")
        )
    return _load(name, points[name])


def parse_strategy(text: str, options: Mapping[str, Any] | None = None) -> Plan:
    """Read `name`, or `scorer+rule`, and give each part its options.

    Args:
        text: names joined by `+`.
        options: values of their options by field name; one that several parts have goes to all.

    Raises:
        PoolError: an unknown name or option, a value outside its range, or parts that do not make
            a whole.
    """
    names = [name.strip() for name in text.split("+")]
    if not all(names):
        raise PoolError(
            f"`{text}` leaves a strategy unnamed",
            "name one, or several with `+` between: `ds2-fast strategies` lists them",
        )
    classes = [find_strategy(name) for name in names]
    given = {name: _plain(value) for name, value in (options or {}).items()}
    known = {each.name for part in classes for each in options_of(part)}
    for name in given:
        if name not in known:
            from ds2_fast.pool.phrases import nearest

            flags = sorted(map(_flag, known))
            hint = nearest(_flag(name), flags, "options") if known else "leave it out"
            raise PoolError(f"the strategy `{text}` has no option `{_flag(name)}`", hint)
    parts = [_make(part, given) for part in classes]
    for part in parts:
        _check_values(part)
    return assemble(text, parts)


def _make(part: type[Strategy], given: Mapping[str, Any]) -> Strategy:
    """Give a part its options; one value stands for a list of one where a list is taken."""
    own = {}
    for each in options_of(part):
        if each.name in given:
            value = given[each.name]
            several = isinstance(each.default, tuple) and not isinstance(value, tuple)
            own[each.name] = (value,) if several and value is not None else value
    return part(**own)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Give numpy's numbers, paths and lists as what an option holds and JSON can."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PurePath):
        return str(value)
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def options_of(part: type[Strategy]) -> tuple[Field[Any], ...]:
    """Give the fields of a strategy that are its options, see `ds2_fast.strategies.option`."""
    return fields(part) if is_dataclass(part) else ()  # type: ignore[arg-type,unused-ignore]


def option_types(part: type[Strategy]) -> dict[str, Any]:
    """Give the type of each option, as annotated."""
    hints = get_type_hints(part)
    return {each.name: hints[each.name] for each in options_of(part)}


@cache
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)}


def _load(name: str, point: Any) -> type[Strategy]:  # noqa: ANN401
    where = f"the strategy `{name}` of the package `{point.dist.name}`"
    try:
        found = point.load()
    except Exception as error:  # whatever another package raises when it is imported
        raise RunError(
            f"{where} cannot be loaded: {error}", "mend or remove that package"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Strategy) and is_dataclass(found)):
        raise RunError(
            f"{where} is not a dataclass derived from ds2_fast.strategies.Strategy",
            "mend or remove that package",
        )
    if getattr(found, "name", None) != name:
        raise RunError(
            f"{where} calls itself `{getattr(found, 'name', '')}`", "mend or remove that package"
        )
    try:
        option_types(found)
    except (NameError, TypeError) as error:
        raise RunError(
            f"the types of the options of {where} cannot be read: {error}",
            "import what its annotations name at run time",
        ) from error
    return found


def _check_values(part: Strategy) -> None:
    for each in options_of(type(part)):
        value, limits = getattr(part, each.name), each.metadata
        if value is None or value is MISSING:
            continue
        least, most, above = limits.get("least"), limits.get("most"), limits.get("above")
        wrong = (
            (least is not None and not value >= least)
            or (most is not None and not value <= most)
            or (above is not None and not value > above)
            or (limits.get("choices") is not None and value not in limits["choices"])
        )
        if wrong:
            raise PoolError(
                f"`{_flag(each.name)}` of the strategy `{part.name}` must be {_range(limits)}, "
                f"got {value!r}",
                f"`ds2-fast strategies {part.name}` lists its options",
            )


def _range(limits: Mapping[str, Any]) -> str:
    if limits.get("choices") is not None:
        return "one of " + ", ".join(limits["choices"])
    said = []
    if limits.get("above") is not None:
        said.append(f"above {limits['above']:g}")
    if limits.get("least") is not None:
        said.append(f"at least {limits['least']:g}")
    if limits.get("most") is not None:
        said.append(f"at most {limits['most']:g}")
    return " and ".join(said)
