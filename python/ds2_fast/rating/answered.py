"""Which samples of a pool the journal answers already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast.rating.journal import load_journal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ds2_fast.rating.render import Conversation
    from ds2_fast.rating.run import Setup


def find_answered(
    setup: Setup, conversations: Sequence[Conversation], journal_path: Path
) -> NDArray[np.bool_]:
    """Whether each sample could be rated without a request, bool `(N,)`.

    Args:
        setup: what is asked, and of whom.
        conversations: N samples.
        journal_path: the journal.
    """
    jobs = setup.jobs(conversations)
    stored = setup.stored(jobs, load_journal(journal_path)).results
    known = [all(key in stored for key in jobs.keys_of(sample)) for sample in range(jobs.samples)]
    # Rows without a sample (no text) need no request either.
    at = np.where(jobs.job_of_row < 0, jobs.samples, jobs.job_of_row)
    return np.array([*known, True], dtype=np.bool_)[at]
