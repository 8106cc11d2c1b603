"""Fuzz what reads foreign bytes: the parser of answers, and the loader of journals.

`make fuzz ARGS='--seconds 3600'` runs for an hour; the tests run it for a moment. Inputs are made
from a seed by mutation, so a failure is printed with what repeats it. Checked are rules that hold
for any input, not examples: no crash, no number that is not in the text, time linear in the text;
every whole record survives any damage to its neighbors.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from pathlib import Path

from ds2_fast import _core
from ds2_fast.rating.journal import Journal, load_journal

NAMES = ["Rarity", "Complexity", "Informativeness", "Overall rating"]
GOOD = '{"Rarity": 3, "Complexity": 4, "Informativeness": 5, "Overall rating": 4}'
SEEDS = (
    GOOD,
    "```json\n" + GOOD + "\n```",
    '<think>{"Rarity": 1</think>\n' + GOOD,
    "{'rarity': '3/5', 'complexity': 4., 'informativeness': {'score': 5}, 'overall': 1e0,}",
    '{"ratings": [{"Rarity": 0, "Complexity": -0, "Informativeness": 5.0, "Overall_rating": 2}]}',
    '{{"Rarity": 1, "Complexity": 1, "Informativeness": 1, "Overall rating": 1}}',
    '{"Rarity": 3, "Complexity": null, "Informativeness": NaN, "Overall rating": true}',
    "I'm sorry, I can't help with that.",
    "Rarity: 3 {of 5}, é 𝄞 \u2028 \x00",
)
PIECES = (
    "{", "}", "[", "]", '"', "'", "\\", ":", ",", "<think>", "</think>", "\\u00e9", "\\ud800", "0",
    "5", "-", ".", "e9", "1e400", "/5", " out of ", "null", "\n", "\x00", "Overall rating", "{{",
)  # fmt: skip
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
# A parse may take so long at worst, in microseconds, on a busy machine.
FIXED_US, PER_BYTE_US = 200.0, 0.25


def mutate(draw: random.Random) -> str:
    """An answer no model has given, or perhaps one has."""
    text = draw.choice(SEEDS)
    for _ in range(draw.randrange(6)):
        at, to = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
        match draw.randrange(6):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:at] + draw.choice(PIECES) + text[at:]
            case 2:
                text = text[:to] + text[at:]
            case 3:
                text = text[:at] + draw.choice(SEEDS) + text[to:]
            case 4:
                text = text[:at] + draw.choice(PIECES) * draw.choice((2, 9, 300)) + text[at:]
            case 5:
                text = text[:at] + chr(draw.randrange(1, 0xD800)) + text[to:]
    if draw.random() < 0.001:
        text = (draw.choice(PIECES) + text) * draw.choice((100, 2_000))
    return text[:200_000]


def check_answer(text: str) -> float:
    """Parse one text; its microseconds. Raises AssertionError if a rule is broken."""
    start = time.thread_time_ns()  # not the clock: others use the processor too
    ratings, reason = _core.parse_answer(text, NAMES, 0.0, 5.0)
    took = 1e-3 * (time.thread_time_ns() - start)
    assert (ratings is None) != (reason is None), (ratings, reason)
    if ratings is not None:
        assert len(ratings) == len(NAMES) and all(0 <= value <= 5 for value in ratings), ratings
        given = {float(number) for number in NUMBER.findall(text)}
        assert set(ratings) <= given, f"{ratings} are not in the text"
    return took


def fuzz_answers(draw: random.Random, end: float) -> tuple[int, float]:
    """Parse until `end`; how many, and their mean microseconds."""
    count, total = 0, 0.0
    while time.monotonic() < end:
        text = mutate(draw)
        size = len(text.encode())
        try:
            took = check_answer(text)
            if took > FIXED_US + PER_BYTE_US * size:  # once may be the machine
                took = min(check_answer(text) for _ in range(50))
                assert took <= FIXED_US + PER_BYTE_US * size, f"{took:.0f} us for {size} bytes"
        except BaseException:
            print(f"answer {count} of this seed fails: {text[:2_000]!r}")
            raise
        count, total = count + 1, total + took
    return count, total / max(count, 1)


def _entry(draw: random.Random, key: int) -> dict[str, object]:
    rated = draw.random() < 0.7
    return {
        "k": f"{key:032x}",
        "t": 1.0,
        "r": [draw.randrange(6) for _ in NAMES] if rated else None,
        "why": None if rated else "no_json",
        "raw": draw.choice(SEEDS),
        "n": 1,
        "u": [100, 20, 0],
        "c": 0.25,
        "m": "m",
        "ms": 1,
        "fp": "",
    }


def damaged(draw: random.Random, line: bytes) -> bytes:
    """A line that is no record any more, line end included."""
    match draw.randrange(4):
        case 0:
            return line[: draw.randrange(len(line) - 1)] + b"\n"
        case 1:
            return bytes(draw.randrange(256) for _ in range(draw.randrange(60))) + b"\x00\n"
        case 2:
            return b'{"v":1,"k":"x","r":null,"why":null,"u":[1e999,0,0],"c":NaN,"m":""}\n'
        case _:
            return b"[" * draw.choice((1, 5_000, 200_000)) + b"\n"


def check_journal(draw: random.Random, path: Path) -> None:
    """Write a journal, damage it, tear its end, go on writing, and load it."""
    expected: dict[str, list[int] | None] = {}
    data, spent = b"", 0.0

    def keep(entry: dict[str, object]) -> None:
        nonlocal spent
        key, ratings = str(entry["k"]), entry["r"]
        spent += 0.25
        if ratings is not None or expected.get(key) is None:
            expected[key] = ratings  # type: ignore[assignment]

    for _ in range(draw.randrange(30)):
        entry = _entry(draw, draw.randrange(12))
        line = json.dumps({"v": 1, **entry}, separators=(",", ":")).encode() + b"\n"
        if draw.random() < 0.3:
            data += damaged(draw, line)
        else:
            data += line * (twice := 1 + (draw.random() < 0.1))
            for _ in range(twice):
                keep(entry)
    torn = json.dumps({"v": 1, **_entry(draw, 99)}).encode()
    data += torn[: draw.randrange(len(torn))]
    path.write_bytes(data)
    journal = Journal(path)
    entry = _entry(draw, draw.randrange(12))
    journal.append(entry)
    journal.close()
    keep(entry)
    assert path.read_bytes().startswith(data), "what was there is never changed"
    loaded = load_journal(path)
    got = {key: record.ratings for key, record in loaded.records.items()}
    want = {key: None if r is None else tuple(map(float, r)) for key, r in expected.items()}
    assert got == want, (got, want)
    assert loaded.cost == spent, "every answer was paid"


def fuzz_journals(draw: random.Random, end: float) -> int:
    """Check journals until `end`; how many."""
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            path = Path(folder) / f"{count % 10}.jsonl"
            try:
                check_journal(draw, path)
            except BaseException:
                print(f"journal {count} of this seed fails")
                raise
            path.unlink()
            count += 1
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="in all, half for each")
    parser.add_argument("--seed", type=int, help="default: another one every time")
    parser.add_argument("--fast", action="store_true", help="a second for each")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    half = 1.0 if options.fast else options.seconds / 2
    print(f"seed {seed}", flush=True)
    count, mean = fuzz_answers(random.Random(seed), time.monotonic() + half)
    print(f"{count:,} answers, {mean:.2f} us each", flush=True)
    count = fuzz_journals(random.Random(seed), time.monotonic() + half)
    print(f"{count:,} journals")
    return 0


if __name__ == "__main__":
    sys.exit(main())
