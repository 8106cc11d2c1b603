"""Which fit belongs to which curation mode, and what is said where none is possible."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ds2_fast import artifacts
from ds2_fast.errors import PoolError
from ds2_fast.fitting import fit, in_common_form
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.published import fit_transition_reference

RING = ((np.arange(60)[:, None] + np.arange(1, 13)) % 60).astype(np.uint32)
SIMILARITIES = np.broadcast_to(np.linspace(0.9, 0.5, 12, dtype=np.float32), RING.shape).copy()


@pytest.fixture
def published():
    """A fit of the published code to scores 0, 1 and 3 of 0..3."""
    return fit_transition_reference(np.array([0, 1, 3], np.int8)[np.arange(60) // 20], RING, 4)


def test_a_published_fit_can_be_stored_whatever_is_ambiguous(published, tmp_path):
    swapped = replace(published, T=published.T[[1, 0, 2, 3]])
    transition = in_common_form(swapped)
    assert transition.ambiguous == (0, 1)
    json.dumps(transition.to_dict())
    paths = (tmp_path / "transition.json",)
    artifacts.TRANSITION.save(transition, paths)
    assert artifacts.TRANSITION.load(paths).ambiguous == (0, 1)


def test_a_score_nobody_gave_is_not_ambiguous(published):
    column = published.T.copy()
    column[:, 2] = [0.4, 0.3, 0.2, 0.1]
    assert in_common_form(replace(published, T=column)).ambiguous == ()


def test_what_the_published_fit_left_out_is_kept(published, tmp_path):
    assert published.warnings == ()
    narrow = fit_transition_reference(
        (np.arange(60) // 20).astype(np.int8), RING[:, :2].copy(), 4, sample_size=30
    )
    transition = in_common_form(narrow)
    assert "lies beyond the 2 neighbors kept" in transition.warnings[0]
    paths = (tmp_path / "transition.json",)
    artifacts.TRANSITION.save(transition, paths)
    assert artifacts.TRANSITION.load(paths).warnings == transition.warnings


@pytest.mark.parametrize(
    ("mode", "heard"), [("bayes", 10), ("none", 10), ("paper", 2), ("reference", 12)]
)
def test_too_few_ratings_to_count_is_the_users_to_mend(mode, heard):
    scores = np.full(60, -1, np.int8)
    scores[[0, 20, 40]] = [0, 1, 1]
    with pytest.raises(PoolError, match=f"among its {heard} nearest neighbors") as caught:
        fit(scores, Neighbors(RING, SIMILARITIES), 2, mode, 10)
    assert "3 of 60" in caught.value.message
    assert caught.value.hint


def test_every_mode_has_its_fit():
    points = np.repeat(np.eye(2, dtype=np.float32), 30, axis=0)
    scores = np.repeat(np.array([0, 1], dtype=np.int8), 30)
    neighbors = find_neighbors(points, 12)
    found = {mode: fit(scores, neighbors, 2, mode, 10) for mode in ("bayes", "paper", "reference")}
    assert {mode: (value.k, value.prior) for mode, value in found.items()} == {
        "bayes": (10, "ordinal"),
        "paper": (2, "uniform"),
        "reference": (2, "none"),
    }
    assert found["paper"].strength == 1.0
