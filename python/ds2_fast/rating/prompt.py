"""Rating prompts: TOML templates with named slots, and the classes made of the answers."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from ds2_fast.errors import RatingError

SHIPPED = ("ds2-fast-v1", "ds2-poster-0-5", "ds2-code-1-10")
DEFAULT_TURN = "### {role}: {content}"
MIN_CLASSES, MAX_CLASSES = 2, 16


@dataclass(frozen=True)
class Prompt:
    """A template: what is sent for a sample, and how the answer is read.

    Attributes:
        name: what the run is labeled with.
        system: the system message, the same for every sample; may be empty.
        user: the user message with the slot `{sample}` once and `{tag}` (eight hex digits of the
            sample's own hash) any number of times.
        turn: one turn of a conversation, slots `{role}` and `{content}` once each; turns are
            joined by newlines.
        criteria: names of the criteria, as the answer must spell them.
        overall: name of the overall rating, the one classes are made of.
        scale: lowest and highest rating, both allowed.
        classes: pairs (rating, class): a rating of at least this is of this class.
        description: one sentence for people; not part of the identity.
    """

    name: str
    system: str
    user: str
    turn: str
    criteria: tuple[str, ...]
    overall: str
    scale: tuple[int, int]
    classes: tuple[tuple[int, int], ...]
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What the answer must name: the criteria, then the overall rating."""
        return (*self.criteria, self.overall)

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of the ratings, in the order of `names`; the last is `overall`."""
        return (*(_slug(name) for name in self.criteria), "overall")

    @property
    def num_classes(self) -> int:
        """Number of classes K; classes run from 0 to K - 1."""
        return len(self.classes)

    @cached_property
    def digest(self) -> str:
        """Hash of all that shapes the request and its reading: a changed byte is another prompt.

        The classes are made after the fact and the name is a label: neither makes an answer stale.
        """
        shape = [self.system, self.user, self.turn, self.names, self.scale]
        return hashlib.blake2b(json.dumps(shape).encode(), digest_size=16).hexdigest()

    def class_of(self, rating: float) -> int:
        """Compress an overall rating to its class.

        The rating is rounded half up, `floor(rating + 0.5)`, and belongs to the last pair of
        `classes` that does not exceed it. For `ds2-code-1-10`: 1..4 -> 0, 5 -> 1, 6 -> 2, 7 -> 3,
        8 -> 4, 9 and 10 -> 5; for the 0 to 5 prompts the rounded rating itself.

        Args:
            rating: a rating within `scale`.

        Returns:
            A class in 0..K-1; high = good.

        Raises:
            ValueError: if the rating lies outside `scale` or is not a number.

        Source: the compression of the published DS2 code.
        """
        low, high = self.scale
        if not low <= rating <= high:
            raise ValueError(f"rating {rating} lies outside the scale {low} to {high}")
        rounded = math.floor(rating + 0.5)
        return max(cls for start, cls in self.classes if start <= rounded)

    @cached_property
    def fill_turn(self) -> Callable[[str, str], str]:
        """Render one turn from (role, content); slots are filled once, text is never evaluated."""
        form = _form(self.turn, ("role", "content"))
        return lambda role, content: form.format(role=role, content=content)

    @cached_property
    def fill_user(self) -> Callable[[str, str], str]:
        """Render the user message from (sample text, tag)."""
        form = _form(self.user, ("sample", "tag"))
        return lambda sample, tag: form.format(sample=sample, tag=tag)


def load_prompt(source: str | Path | Prompt) -> Prompt:
    """Load a shipped prompt by name or a custom one from a `.toml` file.

    Args:
        source: `ds2-fast-v1`, `ds2-poster-0-5`, `ds2-code-1-10`, a path ending in `.toml`, or a
            prompt, which is returned as it is.

    Returns:
        The checked prompt.

    Raises:
        RatingError: if the name is unknown, or the file cannot be read or is no valid template.
    """
    if isinstance(source, Prompt):
        return source
    name = str(source)
    if name in SHIPPED:
        file = resources.files("ds2_fast.rating").joinpath("prompts", f"{name}.toml")
        return _check(tomllib.loads(file.read_text(encoding="utf-8")), name)
    if not name.endswith(".toml"):
        raise RatingError(
            f"there is no prompt `{name}`", f"one of {', '.join(SHIPPED)}, or a `.toml` file"
        )
    try:
        table = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise RatingError(f"cannot read the prompt `{name}`: {error.strerror}") from error
    except ValueError as error:
        raise RatingError(f"the prompt `{name}` is not valid TOML: {error}") from error
    return _check(table, name)


def _check(table: Mapping[str, Any], where: str) -> Prompt:
    """A prompt from its TOML table; every complaint names the file and the key."""

    def fail(message: str) -> RatingError:
        return RatingError(f"the prompt `{where}`: {message}", "copy a shipped prompt and adapt it")

    known = {
        "name",
        "description",
        "system",
        "user",
        "turn",
        "criteria",
        "overall",
        "scale",
        "classes",
    }
    if unknown := sorted(set(table) - known):
        raise fail(f"unknown key `{unknown[0]}`")
    texts = {"description": "", "system": "", "turn": DEFAULT_TURN, **table}
    for key in ("name", "user", "overall", "description", "system", "turn"):
        if not isinstance(texts.get(key), str):
            raise fail(f"`{key}` must be a text, got {texts.get(key)!r}")
    for key, slots in (("user", ("sample",)), ("turn", ("role", "content"))):
        for slot in slots:
            if (count := texts[key].count(f"{{{slot}}}")) != 1:
                raise fail(f"`{key}` must hold the slot `{{{slot}}}` once, got it {count} times")
    if "{sample}" in texts["system"]:
        raise fail("`system` is the same for every sample and cannot hold the slot `{sample}`")
    criteria = table.get("criteria", [])
    if not (isinstance(criteria, list) and all(isinstance(name, str) for name in criteria)):
        raise fail(f"`criteria` must be a list of texts, got {criteria!r}")
    scale = _scale(table.get("scale"), fail)
    prompt = Prompt(
        name=texts["name"],
        system=texts["system"].strip("\n"),
        user=texts["user"].strip("\n"),
        turn=texts["turn"],
        criteria=tuple(criteria),
        overall=texts["overall"],
        scale=scale,
        classes=_classes(table.get("classes"), scale, fail),
        description=texts["description"],
    )
    _check_names(prompt, fail)
    return prompt


def _check_names(prompt: Prompt, fail: Callable[[str], RatingError]) -> None:
    from ds2_fast import _core

    try:
        _core.parse_answer("", list(prompt.names), *map(float, prompt.scale))
    except ValueError as error:
        raise fail(str(error)) from error
    reserved = {
        "score", "status", "truncated", "flag_inject", "flag_delim", "key", "id", "expected",
        "chances", "expected_from",
    }  # fmt: skip
    if taken := [c for i, c in enumerate(prompt.columns) if c in {*reserved, *prompt.columns[:i]}]:
        raise fail(f"a criterion would be the column `{taken[0]}`, which is taken")


def _scale(value: object, fail: Callable[[str], RatingError]) -> tuple[int, int]:
    match value:
        case [int(low), int(high)] if low < high and not isinstance(low, bool):
            return low, high
    raise fail(f"`scale` must be two whole numbers, low and high, got {value!r}")


def _classes(
    value: object, scale: tuple[int, int], fail: Callable[[str], RatingError]
) -> tuple[tuple[int, int], ...]:
    low, high = scale
    if value is None:
        value = [[rating, rating - low] for rating in range(low, high + 1)]
    pairs = value if isinstance(value, list) else []
    starts = [p[0] for p in pairs if isinstance(p, list) and [type(x) for x in p] == [int, int]]
    good = (
        len(starts) == len(pairs)
        and [p[1] for p in pairs] == list(range(len(pairs)))
        and starts == sorted(set(starts))
        and starts[:1] == [low]
        and starts[-1:] <= [high]
    )
    if not good:
        raise fail(
            f"`classes` must be pairs [rating, class] with rising ratings from {low} to at most "
            f"{high} and the classes 0, 1, 2, ..., got {value!r}"
        )
    if not MIN_CLASSES <= len(pairs) <= MAX_CLASSES:
        raise fail(f"there must be {MIN_CLASSES} to {MAX_CLASSES} classes, got {len(pairs)}")
    return tuple((int(start), int(cls)) for start, cls in pairs)


def _form(template: str, slots: tuple[str, ...]) -> str:
    """A template as a format string: its slots alone are fields, all other braces are literal."""
    form = template.replace("{", "{{").replace("}", "}}")
    for slot in slots:
        form = form.replace(f"{{{{{slot}}}}}", f"{{{slot}}}")
    return form


def _slug(name: str) -> str:
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")
