"""Compose the sample pool from the seeds: `python examples/make_sample_pool.py`.

Every sample is made at one of six true qualities, and the quality shows in its text:

    5  the full answer with everything that belongs to it
    4  the right answer, with part of the additions left out
    3  a correct answer in a sentence or a line
    2  on the subject, but vague: true of nearly anything
    1  barely helpful, or an answer to another question
    0  empty, cut off, looping or scrambled

A group is one topic at one quality: `GROUP_SIZE` variants that differ in how the request is put,
in the values filled in and in what the answer says. Group mates are close to each other in an
embedding, so near neighbors share the true quality: the assumption under which DS2 recovers the
transition matrix. The column `rating` holds what a lenient rating model might have said: drawn
from the row of `TRANSITION` that belongs to the true quality.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
POOL_PATH = HERE / "sample_pool.parquet"
TRUTH_PATH = HERE / "sample_pool_truth.json"

SEED = 42
GROUP_SIZE = 12
ROWS_PER_GROUP = 3
NUM_GROUPS = 180
PRIOR = (0.09, 0.16, 0.24, 0.28, 0.18, 0.05)
"""Share of groups per true quality, 0 to 5."""
TRANSITION = (
    (0.62, 0.24, 0.09, 0.03, 0.01, 0.01),
    (0.07, 0.60, 0.24, 0.06, 0.02, 0.01),
    (0.02, 0.07, 0.60, 0.24, 0.05, 0.02),
    (0.01, 0.02, 0.08, 0.60, 0.24, 0.05),
    (0.01, 0.01, 0.02, 0.09, 0.62, 0.25),
    (0.01, 0.01, 0.02, 0.06, 0.20, 0.70),
)
"""Row = true quality, column = rating: about 0.6 right, 0.25 one too high."""

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


def deal_qualities() -> list[int]:
    """Share the groups out over the qualities by largest remainder; returns one per group."""
    exact = [share * NUM_GROUPS for share in PRIOR]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(PRIOR)), key=lambda q: counts[q] - exact[q])
    for quality in by_remainder[: NUM_GROUPS - sum(counts)]:
        counts[quality] += 1
    return [quality for quality, count in enumerate(counts) for _ in range(count)]


def plan_groups(topics: dict[str, list[Seed]]) -> list[tuple[str, int]]:
    """Give every topic a quality, and a second, bad one to some topics answered well.

    There the texts of the answers alone tell the two groups apart. These topics have a single seed
    with slots, so that all samples of a group share one subject.
    """
    dice = Dice("plan")
    qualities = dice.shuffled(deal_qualities())
    bad = [index for index, quality in enumerate(qualities) if quality <= 1]
    again = bad[: NUM_GROUPS - len(topics)]
    first = [quality for index, quality in enumerate(qualities) if index not in again]
    groups = list(zip(topics, first, strict=True))
    well_answered = [
        name
        for name, quality in groups
        if quality >= 4 and len(topics[name]) == 1 and len(topics[name][0].rows) > 1
    ]
    second = dice.shuffled(well_answered)[: len(again)]
    return groups + [(name, qualities[i]) for name, i in zip(second, again, strict=True)]


def choose_donors(topics: dict[str, list[Seed]]) -> dict[str, Seed]:
    """Choose, for every other topic, a seed of the same language from another area."""
    donors = {}
    for topic, (seed, *_) in list(topics.items())[::2]:
        others = [o for group in topics.values() for o in group if o.lang == seed.lang]
        far = [other for other in others if other.area != seed.area]
        if far:
            donors[topic] = Dice(f"donor/{topic}").pick(far)
    return donors


def write_group(
    seeds: Sequence[Seed], quality: int, donor: Seed | None, phrases: dict[str, Any]
) -> list[dict[str, Any]]:
    """Write `GROUP_SIZE` samples of one topic at one quality, shared evenly by its seeds."""
    dice = Dice(f"{seeds[0].topic}/{quality}")
    writer = Writer(dice, phrases, donor)
    samples = []
    for seed in seeds:
        wordings = dice.shuffled(list(product(phrases[seed.lang]["frames"], seed.ask)))
        rows = dice.shuffled(seed.rows)[:ROWS_PER_GROUP]
        for number in range(GROUP_SIZE // len(seeds)):
            (frame, ask), values = wordings[number], rows[number % len(rows)]
            ask = fill(ask, values)
            samples.append(
                {
                    "instruction": frame.format(ask=ask, Ask=ask[0].upper() + ask[1:]),
                    "input": fill(seed.input, values),
                    "output": writer.answer(quality, seed, values),
                    "topic": seed.topic,
                    "truth": quality,
                }
            )
    return samples


def make_pool() -> pl.DataFrame:
    """Compose, shuffle and rate the pool.

    Returns:
        One row per sample: id, instruction, input, output, topic, rating (i8, 0 to 5, drawn from
        `TRANSITION`), truth (i8, the quality it was written at).
    """
    seeds, phrases = load_seeds(), load_phrases()
    topics: dict[str, list[Seed]] = {}
    for seed in seeds:
        topics.setdefault(seed.topic, []).append(seed)
    donors = choose_donors(topics)
    samples = [
        sample
        for topic, quality in plan_groups(topics)
        for sample in write_group(topics[topic], quality, donors.get(topic), phrases)
    ]
    samples = Dice("order").shuffled(samples)
    dice = Dice("ratings")
    for number, sample in enumerate(samples, 1):
        sample["id"] = f"sample-{number:04d}"
        sample["rating"] = dice.draw(TRANSITION[sample["truth"]])
    columns = ["id", "instruction", "input", "output", "topic", "rating", "truth"]
    frame = pl.DataFrame(samples).select(columns)
    return frame.with_columns(pl.col("rating", "truth").cast(pl.Int8))


def describe(pool: pl.DataFrame) -> dict[str, Any]:
    """Say what is true of the pool: the prior, the transition matrix and what was drawn."""
    counts = pool.group_by("truth").len().sort("truth")["len"].to_list()
    drawn = [[0] * len(PRIOR) for _ in PRIOR]
    for truth, rating in pool.select("truth", "rating").iter_rows():
        drawn[truth][rating] += 1
    return {
        "samples": pool.height,
        "groups": NUM_GROUPS,
        "num_classes": len(PRIOR),
        "prior": PRIOR,
        "transition": TRANSITION,
        "samples_per_quality": counts,
        "ratings_per_quality": drawn,
    }


def main() -> None:
    """Write the pool and its truth beside this script."""
    pool = make_pool()
    pool.write_parquet(POOL_PATH, compression="zstd", compression_level=19)
    TRUTH_PATH.write_text(json.dumps(describe(pool), indent=1) + "\n", encoding="utf-8")
    print(f"{POOL_PATH.name}: {pool.height} samples, {POOL_PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
