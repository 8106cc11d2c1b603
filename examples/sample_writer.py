"""Write the samples of the sample pool: seeds, dice and answers of six qualities.

`make_sample_pool.py` composes the pool; this module turns one seed into text.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
SEED = 42
MADE_TEXTS = {"writing", "creative"}
"""Kinds whose answer is itself a text, such as a letter: its parts keep their order."""


@dataclass(frozen=True)
class Seed:
    """One hand-written request with its answer, in parts.

    `body` plus all of `more` is the good answer, `short` its shortest correct form and `noun` its
    subject. Marks such as `<<city>>` are filled from one of `rows`.
    """

    topic: str
    kind: str
    ask: tuple[str, ...]
    noun: str
    short: str
    body: str
    more: tuple[str, ...]
    lang: str = "en"
    input: str = ""
    rows: tuple[dict[str, str], ...] = ({},)

    @property
    def area(self) -> str:
        """First part of the topic, such as `python`."""
        return self.topic.partition("/")[0]


class Dice:
    """Seeded choices built on `random.Random.random` alone.

    Python promises the same `random()` sequence in every version but not the same `shuffle` or
    `sample`, and the committed pool must stay reproducible.
    """

    def __init__(self, purpose: str) -> None:
        """Start the sequence of one purpose; editing one seed must not change all groups."""
        self._random = random.Random(f"{SEED}/{purpose}").random

    def pick(self, items: Sequence[Any]) -> Any:  # noqa: ANN401
        """Return one of `items`."""
        return items[int(self._random() * len(items))]

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        """Return `items` in random order."""
        return sorted(items, key=lambda _: self._random())

    def draw(self, weights: Sequence[float]) -> int:
        """Return an index, each with its weight as probability; the weights sum to 1."""
        level = self._random()
        for index, weight in enumerate(weights[:-1]):
            level -= weight
            if level < 0:
                return index
        return len(weights) - 1


def load_seeds() -> list[Seed]:
    """Read `seeds/*.toml` in the order of file names; keys above the seeds are defaults."""
    seeds = []
    for path in sorted((HERE / "seeds").glob("*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        defaults = {key: value for key, value in document.items() if key != "seed"}
        for entry in document["seed"]:
            fields = {**defaults, **entry}
            fields.pop("check", None)  # what the tests run, not part of the text
            for key in ("ask", "more", "rows"):
                if key in fields:
                    fields[key] = tuple(fields[key])
            seeds.append(Seed(**fields))
    return seeds


def load_phrases() -> dict[str, Any]:
    """Read the wording shared by all seeds, by language."""
    return tomllib.loads((HERE / "phrases.toml").read_text(encoding="utf-8"))


def fill(text: str, values: dict[str, str]) -> str:
    """Replace each `<<name>>` by its value and trim the ends."""
    return re.sub(r"<<(\w+)>>", lambda match: values[match[1]], text).strip()


def join(*parts: str, by: str = "\n\n") -> str:
    """Join the parts that are not empty."""
    return by.join(part for part in parts if part)


class Writer:
    """Writes the answers of one group, each for one seed and one row of its values."""

    def __init__(self, dice: Dice, phrases: dict[str, Any], donor: Seed | None) -> None:
        """Keep the dice, the wording and the seed whose answer may stray in."""
        self._dice = dice
        self._phrases = phrases
        self._donor = donor
        self._by_quality: tuple[Callable[[Seed, dict[str, str]], str], ...] = (
            self.broken,
            self.weak,
            self.vague,
            self.brief,
            self.partial,
            self.full,
        )

    def answer(self, quality: int, seed: Seed, values: dict[str, str]) -> str:
        """Write an answer of the given true quality, 0 to 5."""
        return self._by_quality[quality](seed, values)

    def full(self, seed: Seed, values: dict[str, str]) -> str:
        """Quality 5: the whole answer and every addition."""
        more = [fill(text, values) for text in seed.more]
        if seed.kind not in MADE_TEXTS:
            more = self._dice.shuffled(more)
        return self._framed(seed.lang, fill(seed.body, values), *more)

    def partial(self, seed: Seed, values: dict[str, str]) -> str:
        """Quality 4: the whole answer with at most one addition."""
        extra = fill(self._dice.pick(("", *seed.more)), values)
        if extra:
            remark = self._dice.pick(self._phrases[seed.lang]["remarks"])
            extra = join(remark, extra, by=" ")
        return self._framed(seed.lang, fill(seed.body, values), extra)

    def brief(self, seed: Seed, values: dict[str, str]) -> str:
        """Quality 3: correct and no more."""
        words = self._phrases[seed.lang]
        lead = self._dice.pick(words["draft" if seed.kind in MADE_TEXTS else "brief"])
        text = str(lead.format(text=fill(seed.short, values)))
        return self._framed(seed.lang, text, by=" ")

    def vague(self, seed: Seed, values: dict[str, str]) -> str:
        """Quality 2: sentences that fit any request of the kind."""
        by_kind = self._phrases[seed.lang]["vague"]
        bank = by_kind.get(seed.kind) or by_kind["any"]
        return self._framed(seed.lang, self._sentences(bank, 4, fill(seed.noun, values)), by=" ")

    def weak(self, seed: Seed, values: dict[str, str]) -> str:
        """Quality 1: a shrug or, for every other topic, the answer to another request."""
        words = self._phrases[seed.lang]["weak"]
        if self._donor is None:
            return self._sentences(words["any"], 3, fill(seed.noun, values))
        stray = fill(self._donor.short, self._donor.rows[0])
        return str(self._dice.pick(words["swerve"]).format(text=stray))

    def broken(self, seed: Seed, values: dict[str, str]) -> str:
        """Quality 0: nothing, a placeholder, a cut, a loop or scrambled letters."""
        noun = fill(seed.noun, values)
        how = self._dice.pick(("empty", "placeholder", "cut", "loop", "scramble"))
        if how == "empty":
            return ""
        if how == "placeholder":
            return str(self._dice.pick(("N/A", "...", "null", "[output]", "undefined", "-")))
        if how == "cut":
            text = fill(seed.short, values)  # a third: even of "$60." nothing right remains
            return text[: min(len(text) // 3, self._dice.pick(range(8, 24)))]
        if how == "loop":
            return " ".join([noun] * self._dice.pick(range(3, 7)))[:-3]
        return " ".join("".join(self._dice.shuffled(word)) for word in noun.split())

    def _framed(self, lang: str, *parts: str, by: str = "\n\n") -> str:
        """Add an opening and a closing, of the same choice for every quality that has them."""
        words = self._phrases[lang]
        opening, closing = (self._dice.pick(words[key]) for key in ("openings", "closings"))
        return join(opening, *parts, closing, by=by)

    def _sentences(self, bank: Sequence[str], count: int, noun: str) -> str:
        """Choose sentences, at least one of which names the subject."""
        named = [sentence for sentence in bank if "{noun}" in sentence]
        first = self._dice.pick(named)
        others = [sentence for sentence in self._dice.shuffled(bank) if sentence != first]
        chosen = self._dice.shuffled([first, *others[: count - 1]])
        return " ".join(sentence.format(noun=noun) for sentence in chosen)
