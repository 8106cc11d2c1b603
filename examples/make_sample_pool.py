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
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from sample_writer import Dice, Seed, Writer, fill, load_phrases, load_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
POOL_PATH = HERE / "sample_pool.parquet"
TRUTH_PATH = HERE / "sample_pool_truth.json"

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
        "p": PRIOR,
        "T": TRANSITION,
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
