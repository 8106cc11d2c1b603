"""What is to be compared: strategies by name, under labels, each with its own options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from ds2_fast.errors import PoolError
from ds2_fast.strategies import Plan, find_strategy, option_types, parse_strategy

CONTROL = "random"
"""The label of the control, and the strategy it is."""

_LABEL = re.compile(r"[A-Za-z0-9][\w.+-]*")
_WORDS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class Entry:
    """One strategy of a comparison.

    Attributes:
        label: what it is called in the comparison.
        plan: the strategy.
    """

    label: str
    plan: Plan


def read_entries(
    strategies: str | Iterable[str], options: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Entry, ...]:
    """Read what is to be compared; the control comes first, whether it is named or not.

    Args:
        strategies: names, `scorer+rule`, or `LABEL=NAME` to compare one with itself under other
            options; also as one text with commas.
        options: options by field name, under a label, or under the name of a part to reach every
            strategy that has it.

    Raises:
        PoolError: nothing but the control is named, two have one label, a name or an option is
            unknown, or options are meant for nobody.
    """
    given = strategies.split(",") if isinstance(strategies, str) else list(strategies)
    named = {CONTROL: CONTROL}
    for text in given:
        label, name = _label(text)
        if named.get(label, name) != name or (label in named and label != CONTROL):
            raise PoolError(
                f"two strategies are called `{label}`", f"name one of them: `LABEL={name}`"
            )
        named[label] = name
    if len(named) == 1:
        raise PoolError(
            "there is nothing to compare with the control",
            "name strategies, such as `--strategies ds2,longest`; `ds2-fast strategies` lists them",
        )
    meant = {label: _options_for(label, name, options or {}) for label, name in named.items()}
    _check_meant(named, options or {})
    if meant[CONTROL]:
        raise PoolError(
            "the control is drawn at random without options",
            f"name another: `--strategies mine={CONTROL}` with `--set mine."
            f"{next(iter(meant[CONTROL]))}=...`",
        )
    return tuple(Entry(label, parse_strategy(name, meant[label])) for label, name in named.items())


def _label(text: str) -> tuple[str, str]:
    label, sign, name = (part.strip() for part in text.partition("="))
    if not label or (sign and not name):
        raise PoolError(
            f"`{text.strip()}` names no strategy", "write `--strategies ds2,longest,mine=deita`"
        )
    if name and _LABEL.fullmatch(label) is None:
        raise PoolError(
            f"`{label}` is no label",
            "letters, digits and `_.+-` make one: `--strategies mine=deita`",
        )
    return label, name or label


def _options_for(label: str, name: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Options under the names of its parts, then under its label, which come first."""
    parts = [part.strip() for part in name.split("+")]
    meant: dict[str, Any] = {}
    for part in parts:
        if part != CONTROL or label == CONTROL:
            meant |= options.get(part, {})
    return meant | dict(options.get(label, {}))


def _check_meant(named: Mapping[str, str], options: Mapping[str, Mapping[str, Any]]) -> None:
    known = {*named, *(part.strip() for name in named.values() for part in name.split("+"))}
    for name in options:
        if name not in known:
            from ds2_fast.pool.phrases import nearest

            raise PoolError(
                f"an option is meant for `{name}`, which is not compared",
                nearest(name, sorted(known), "strategies compared"),
            )


def read_settings(
    texts: Sequence[str], strategies: str | Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Read `deita.threshold=0.8` and its like, each value in the type of its option.

    Args:
        texts: `NAME.OPTION=VALUE`, NAME as of `read_entries`; an option that can be repeated
            collects its values.
        strategies: what is compared, as for `read_entries`.

    Returns:
        The options, by the name they are meant for.

    Raises:
        PoolError: one is not of that form, its strategy or option is unknown, or its value of
            another type.

    Example:
        >>> read_settings(["deita.threshold=0.8"], "deita")
        {'deita': {'threshold': 0.8}}
    """
    given = strategies.split(",") if isinstance(strategies, str) else list(strategies)
    named = dict(_label(text) for text in given)
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, _, value = text.partition("=")
        name, dot, option = target.strip().rpartition(".")
        if not (name and dot and option and "=" in text):
            raise PoolError(
                f"`{text}` sets no option", "write `--set deita.threshold=0.8`: NAME.OPTION=VALUE"
            )
        kinds: dict[str, Any] = {}
        for part in named.get(name, name).split("+"):
            kinds |= option_types(find_strategy(part.strip()))
        key = option.strip().replace("-", "_")
        if key not in kinds:
            from ds2_fast.pool.phrases import nearest

            hint = nearest(key, sorted(kinds), "options") if kinds else "leave it out"
            raise PoolError(f"the strategy `{name}` has no option `{key}`", hint)
        read = _value(value.strip(), kinds[key], text)
        own = found.setdefault(name, {})
        own[key] = (*own.get(key, ()), *read) if isinstance(read, tuple) else read
    return found


def _value(text: str, annotation: Any, whole: str) -> Any:  # noqa: ANN401
    """A text as the type of an option has it."""
    kind = annotation
    if isinstance(kind, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return (text,)
    if kind is str or get_origin(kind) is Literal:
        return text
    try:
        return _WORDS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        words = {bool: "yes or no", int: "a whole number", float: "a number"}
        raise PoolError(
            f"`{whole}`: `{text}` is not {words.get(kind, kind.__name__)}", "mend the value"
        ) from None
