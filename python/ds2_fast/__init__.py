"""Choose the data to fine-tune on: rate, curate and select instruction samples with DS2.

`select` runs the whole line. Every stage is also a function on arrays and frames: `read_pool`,
`read_scores`, `rate`, `embed`, `embed_lexical`, `compare_spaces`, `find_neighbors`,
`fit_transition`, `bootstrap_transition`, `curate`, `check_trust`, `score_longtail`, `rank_samples`,
`drop_duplicates`, `seat_groups`, `choose_centers`, `measure_losses`, `tag`, `write_subset`.
`PoolIndex` answers queries against the pool of a run; `compare_raters` compares several raters of a
pool, `compare_strategies` ways to select, `compare_runs` two runs; `explain` says why a run took or
left a sample, `draw_report` draws what it found, `verify_run` checks one, `plan_run` says what one
would take.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ds2_fast._core import __version__ as __version__
    from ds2_fast.auditing import check_audit as check_audit
    from ds2_fast.auditing import sample_audit as sample_audit
    from ds2_fast.bakeoff import StrategyComparison as StrategyComparison
    from ds2_fast.bakeoff import compare_strategies as compare_strategies
    from ds2_fast.compared_runs import RunComparison as RunComparison
    from ds2_fast.compared_runs import compare_runs as compare_runs
    from ds2_fast.comparing import RaterComparison as RaterComparison
    from ds2_fast.comparing import compare_raters as compare_raters
    from ds2_fast.curation import Curated as Curated
    from ds2_fast.curation import curate as curate
    from ds2_fast.duplicates import Distinct as Distinct
    from ds2_fast.duplicates import drop_duplicates as drop_duplicates
    from ds2_fast.embedding import load_embedder as load_embedder
    from ds2_fast.errors import BudgetReachedError as BudgetReachedError
    from ds2_fast.errors import Ds2Error as Ds2Error
    from ds2_fast.errors import ModelError as ModelError
    from ds2_fast.errors import PoolError as PoolError
    from ds2_fast.errors import RatingError as RatingError
    from ds2_fast.errors import RunError as RunError
    from ds2_fast.errors import TrustError as TrustError
    from ds2_fast.errors import VerifyError as VerifyError
    from ds2_fast.explaining import ChoiceExplanation as ChoiceExplanation
    from ds2_fast.explaining import Explanation as Explanation
    from ds2_fast.explaining import explain as explain
    from ds2_fast.kcenter import Centers as Centers
    from ds2_fast.kcenter import choose_centers as choose_centers
    from ds2_fast.knn import Neighbors as Neighbors
    from ds2_fast.knn import find_neighbors as find_neighbors
    from ds2_fast.lexical import embed_lexical as embed_lexical
    from ds2_fast.longtail import score_longtail as score_longtail
    from ds2_fast.losses import Losses as Losses
    from ds2_fast.losses import measure_losses as measure_losses
    from ds2_fast.measuring import measure_pool as measure_pool
    from ds2_fast.page import draw_report as draw_report
    from ds2_fast.pipeline import select as select
    from ds2_fast.planning import Plan as Plan
    from ds2_fast.planning import plan_run as plan_run
    from ds2_fast.pool import Pool as Pool
    from ds2_fast.pool import Scores as Scores
    from ds2_fast.pool import read_embeddings as read_embeddings
    from ds2_fast.pool import read_pool as read_pool
    from ds2_fast.pool import read_scores as read_scores
    from ds2_fast.pool import write_subset as write_subset
    from ds2_fast.pool_index import PoolIndex as PoolIndex
    from ds2_fast.quotas import Seats as Seats
    from ds2_fast.quotas import seat_groups as seat_groups
    from ds2_fast.rated_runs import export_batch as export_batch
    from ds2_fast.rated_runs import export_ratings as export_ratings
    from ds2_fast.rated_runs import import_batch as import_batch
    from ds2_fast.rated_runs import import_ratings as import_ratings
    from ds2_fast.rated_runs import reparse_ratings as reparse_ratings
    from ds2_fast.rating import plan_rating as plan_rating
    from ds2_fast.rerate_line import Rerated as Rerated
    from ds2_fast.rerate_line import rerate as rerate
    from ds2_fast.result import Result as Result
    from ds2_fast.selection import Ranking as Ranking
    from ds2_fast.selection import rank_samples as rank_samples
    from ds2_fast.spaces import SpaceComparison as SpaceComparison
    from ds2_fast.spaces import compare_spaces as compare_spaces
    from ds2_fast.stages import embed as embed
    from ds2_fast.stages import rate as rate
    from ds2_fast.stages import rate_with as rate_with
    from ds2_fast.tag_line import tag as tag
    from ds2_fast.tagging import Tags as Tags
    from ds2_fast.transition import Transition as Transition
    from ds2_fast.transition import fit_transition as fit_transition
    from ds2_fast.trust import Trust as Trust
    from ds2_fast.trust import check_trust as check_trust
    from ds2_fast.uncertainty import Intervals as Intervals
    from ds2_fast.uncertainty import bootstrap_transition as bootstrap_transition
    from ds2_fast.verifying import Verification as Verification
    from ds2_fast.verifying import verify_run as verify_run

# Nothing is imported before it is used: `import ds2_fast` and `ds2-fast --help` stay quick.
_HOMES = {
    "_core": ("__version__",),
    "auditing": ("check_audit", "sample_audit"),
    "bakeoff": ("StrategyComparison", "compare_strategies"),
    "compared_runs": ("RunComparison", "compare_runs"),
    "comparing": ("RaterComparison", "compare_raters"),
    "curation": ("Curated", "curate"),
    "duplicates": ("Distinct", "drop_duplicates"),
    "embedding": ("load_embedder",),
    "errors": (
        "BudgetReachedError",
        "Ds2Error",
        "ModelError",
        "PoolError",
        "RatingError",
        "RunError",
        "TrustError",
        "VerifyError",
    ),
    "explaining": ("ChoiceExplanation", "Explanation", "explain"),
    "kcenter": ("Centers", "choose_centers"),
    "knn": ("Neighbors", "find_neighbors"),
    "lexical": ("embed_lexical",),
    "longtail": ("score_longtail",),
    "losses": ("Losses", "measure_losses"),
    "measuring": ("measure_pool",),
    "page": ("draw_report",),
    "pipeline": ("select",),
    "planning": ("Plan", "plan_run"),
    "pool": ("Pool", "Scores", "read_embeddings", "read_pool", "read_scores", "write_subset"),
    "pool_index": ("PoolIndex",),
    "quotas": ("Seats", "seat_groups"),
    "rated_runs": (
        "export_batch",
        "export_ratings",
        "import_batch",
        "import_ratings",
        "reparse_ratings",
    ),
    "rating": ("plan_rating",),
    "rerate_line": ("Rerated", "rerate"),
    "result": ("Result",),
    "selection": ("Ranking", "rank_samples"),
    "spaces": ("SpaceComparison", "compare_spaces"),
    "stages": ("embed", "rate", "rate_with"),
    "tag_line": ("tag",),
    "tagging": ("Tags",),
    "transition": ("Transition", "fit_transition"),
    "trust": ("Trust", "check_trust"),
    "uncertainty": ("Intervals", "bootstrap_transition"),
    "verifying": ("Verification", "verify_run"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    """Import a public name on its first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module `ds2_fast` has no attribute `{name}`")
    return getattr(import_module(f"ds2_fast.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
