"""The acceptance set of the rating engine: faults, and what a run under them must reach.

The set stands before the engine is tuned. What a scenario demands is judged on the provider's side,
from its ledger, and on the results: every rating must be the one the provider gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SETTLED = 10.0
"""Seconds after which a limit nobody told must have been found."""
QUEUE_SETTLED = 5.0


@dataclass(frozen=True)
class Scenario:
    """A provider, a run, and bounds: `least` and `most` by the names of `measure`.

    Attributes:
        name: its name.
        provider: arguments of `Provider`.
        count: samples.
        run: arguments of the run (`timeout`, `reask`).
        allowed: answers a second the provider can give; 0 = as many as the client can take.
        least: measure -> lowest that passes.
        most: measure -> highest that passes.
    """

    name: str
    provider: Mapping[str, Any]
    count: int
    run: Mapping[str, Any] = field(default_factory=dict)
    allowed: float = 0.0
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)


_ALL = {"rated": 1.0}
_RIGHT = {"wrong": 0.0}
# Against the clean run of the same session.
_FLUENT = {"rated": 1.0, "of_clean": 0.8}
_AT_THE_WALL = {"rated": 1.0, "of_allowed": 0.98}


def _random(name: str, faults: Mapping[str, float], most_extra: float) -> Scenario:
    return Scenario(
        name,
        {"latency": 0.1, "faults": faults, "retry_after": "0.2"},
        20_000,
        least=_FLUENT,
        most={"extra": most_extra, **_RIGHT},
    )


def _wall(name: str, rpm: float, seconds: float, **provider: Any) -> Scenario:
    options = {"latency": 0.1, "rpm": rpm, "retry_after": "0.2", **provider}
    return Scenario(
        name,
        options,
        int(rpm / 60 * seconds),
        allowed=rpm / 60,
        least=_AT_THE_WALL,
        most={"refused": 0.05, **_RIGHT},
    )


CLEAN = Scenario("clean", {"latency": 0.1}, 20_000, least=_ALL, most={"extra": 0.0, **_RIGHT})

RANDOM = (
    _random("3% 429 and 2% 500", {"429": 0.03, "500": 0.02}, 0.06),
    _random("1% 429", {"429": 0.01}, 0.02),
    _random("5% 429", {"429": 0.05}, 0.065),
    _random("10% 429", {"429": 0.10}, 0.13),
    _random("5% 5xx", {"500": 0.04, "503": 0.01}, 0.065),
    Scenario(
        "mixed latencies",
        {"latencies": ((0.9, 0.05), (0.09, 0.3), (0.01, 1.0))},
        40_000,
        least=_FLUENT,
        most={"extra": 0.0, **_RIGHT},
    ),
)

WALLS = (
    _wall("wall of 12,000 a minute", 12_000, 40),
    _wall("wall of 3,000 a minute", 3_000, 60),
    _wall("wall of 60 a minute", 60, 180),
    _wall("wall of 12,000, nothing said", 12_000, 40, retry_after=None),
    _wall("wall of 3,000, wait told", 3_000, 60, retry_after="honest"),
    # The wall has let the random refusals through, so 3 % of what it allows is lost to them.
    Scenario(
        "wall of 12,000 and 3% 429",
        {"latency": 0.1, "rpm": 12_000, "retry_after": "0.2", "faults": {"429": 0.03}},
        8_000,
        allowed=194.0,
        least=_AT_THE_WALL,
        most={"refused": 0.08, **_RIGHT},
    ),
    _wall("wall of 3,000, slow answers", 3_000, 60, latency=2.0),
    Scenario(
        "quota of 3,000 in each minute",
        {"latency": 0.1, "rpm": 3_000, "minute_wall": True, "retry_after": "honest"},
        9_000,
        allowed=50.0,
        least={"rated": 1.0, "of_allowed": 0.95},
        most={"refused": 0.2, **_RIGHT},
    ),
)

QUEUES = (
    Scenario(
        "64 silent slots",
        {"latency": 0.2, "slots": 64},
        6_000,
        allowed=320.0,
        least={"rated": 1.0, "of_allowed": 0.97},
        most={"in_flight": 128, "extra": 0.0, **_RIGHT},
    ),
    Scenario(
        "refuses above 32 in flight",
        {"latency": 0.2, "cap": 32, "retry_after": "0.2"},
        6_000,
        allowed=160.0,
        least={"rated": 1.0, "of_allowed": 0.95},
        most={"refused": 0.05, **_RIGHT},
    ),
)

BROKEN = (
    Scenario(
        "1% slow-loris and 1% hang, deadline 3 s",
        {"latency": 0.1, "faults": {"slow": 0.01, "hang": 0.01}},
        5_000,
        {"timeout": 3.0},
        least={"rated": 1.0, "per_second": 400.0},
        most={"extra": 0.03, **_RIGHT},
    ),
    Scenario(
        "20% malformed, 2% truncated, 1% cut",
        {"latency": 0.1, "faults": {"malformed": 0.2, "truncated": 0.02, "cut": 0.01}},
        10_000,
        {"reask": 2},
        least={"rated": 0.985},
        most={"extra": 0.32, **_RIGHT},
    ),
    Scenario(
        "every sample too long at first",
        {"latency": 0.1, "per_sample": ("context",)},
        500,
        least=_ALL,
        most={"extra": 1.0, **_RIGHT},
    ),
)

FATAL = tuple(
    Scenario(
        f"refused for good: {kind}",
        {"always": kind},
        5_000,
        most={"requests": 1, "seconds": 1.0},
    )
    for kind in ("401", "403", "404", "quota")
)

SCENARIOS = (CLEAN, *RANDOM, *WALLS, *QUEUES, *BROKEN, *FATAL)

Row = Sequence[Any]
"""One line of a ledger: key, attempt, kind, answered, at, done."""


def measure(
    scenario: Scenario, ledger: Sequence[Row], count: int | None = None
) -> dict[str, float]:
    """What a provider saw of a run of `count` samples: shares of them or of what it allowed.

    `extra`: requests beyond one for each sample; `per_second`: answers over the whole run;
    `of_allowed`, `refused`, `in_flight`: once the run has settled, the answers begun over what was
    allowed, the refusals over those answers, and the most requests out at a time.
    """
    got: dict[str, float] = {"requests": len(ledger)}
    good = [row for row in ledger if row[2] not in ("429", "503", "529")]
    if not good:
        return got
    start = ledger[0][4]
    last_sent = good[-1][4]
    got["extra"] = len(ledger) / (count or scenario.count) - 1
    finish = max(max(row[4], row[5]) for row in ledger)
    got["per_second"] = sum(row[3] for row in ledger) / max(finish - start, 1e-9)
    since = start + (QUEUE_SETTLED if scenario.provider.get("slots") else SETTLED)
    if not scenario.allowed or last_sent <= since:
        return got
    begun = sum(row[4] > since for row in good)
    got["of_allowed"] = begun / (last_sent - since) / scenario.allowed
    refused = sum(row[4] > since for row in ledger) - begun
    got["refused"] = refused / max(begun, 1)
    got["in_flight"] = _most_at_once([row for row in good if row[5] > since], since)
    return got


def _most_at_once(rows: Sequence[Row], since: float) -> int:
    events = sorted([(max(row[4], since), 1) for row in rows] + [(row[5], -1) for row in rows])
    out = most = 0
    for _, change in events:
        out += change
        most = max(most, out)
    return most


def misses(scenario: Scenario, got: Mapping[str, float]) -> list[str]:
    """Every bound the measures miss, in words; a measure that is not there misses its bound."""
    out = []
    for bounds, sign, word in ((scenario.least, 1, "below"), (scenario.most, -1, "above")):
        for name, bound in bounds.items():
            value = got.get(name)
            if value is None:
                out.append(f"{name} was not measured")
            elif sign * value < sign * bound:
                out.append(f"{name} {value:.4g} is {word} {bound:g}")
    return out
