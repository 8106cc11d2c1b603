"""Which samples of a pool the journal answers already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast.rating.journal import load_journal
from ds2_fast.rating.stored import find_stored

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
    stored = find_stored(jobs, load_journal(journal_path), retry_null=False)
    known = np.array([key in stored.results for key in jobs.keys], dtype=np.bool_)
    # Rows without a job (no text) need no request either.
    return np.append(known, True)[np.where(jobs.job_of_row < 0, len(jobs), jobs.job_of_row)]
