"""The acceptance set on a made clock: what a provider sees of the engine's decisions."""

from __future__ import annotations

import pytest

from rating_provider import content_key, ratings_of
from rating_scenarios import (
    BROKEN,
    CLEAN,
    QUEUES,
    RANDOM,
    WALLS,
    Scenario,
    measure,
    misses,
)
from rating_virtual import VirtualProvider, rate_virtually

# The made clock knows no processor: a clean run of 20,000 takes 39 round trips and the ramp. Where
# few are sent at a time, the last retries weigh more than they do on a real one.
CLEAN_PER_SECOND = 4_300.0 * 0.9
SAMPLED = (CLEAN, RANDOM[0], RANDOM[3], *WALLS, *QUEUES, *BROKEN)


def judged(scenario: Scenario, journal, seed: int = 0) -> list[str]:
    provider = VirtualProvider(**scenario.provider)
    provider.seed = seed
    run = rate_virtually(provider, scenario.count, journal, seed=seed, **scenario.run)
    rows = [[e.key, e.attempt, e.kind, e.answered, e.at, e.done] for e in provider.ledger]
    got = measure(scenario, rows)
    got["of_clean"] = got["per_second"] / CLEAN_PER_SECOND
    ratings = {key: run.results[key].ratings for key in run.jobs.keys}
    got["rated"] = sum(r is not None for r in ratings.values()) / scenario.count
    asking = run.jobs.asking
    got["wrong"] = sum(
        r is not None and list(r) != ratings_of(content_key(asking.messages(run.jobs.user(job))))
        for job, r in enumerate(ratings.values())
    )
    return misses(scenario, got)


@pytest.mark.parametrize("scenario", SAMPLED, ids=lambda scenario: scenario.name)
def test_the_provider_sees_what_the_set_demands(scenario, tmp_path):
    assert judged(scenario, tmp_path / "j.jsonl") == []
