"""What strategies compute from: columns, scores, features and neighbors of a pool, read once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.analysis import Analysis, Recipe, lay_out
from ds2_fast.errors import PoolError
from ds2_fast.features import Features, make_features
from ds2_fast.graphing import make_graph
from ds2_fast.knn import Neighbors
from ds2_fast.longtail import score_longtail
from ds2_fast.presets import GRAPH_WIDTH
from ds2_fast.progress import Progress, silent
from ds2_fast.quotas import Groups, read_groups
from ds2_fast.scoring import asks_rater, pool_scores

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.gathering import Wanted
    from ds2_fast.line import Line
    from ds2_fast.noise import NoiseSource
    from ds2_fast.panel import Rated
    from ds2_fast.pool import Pool, Scores, Turn
    from ds2_fast.projection import Projection


class Inputs:
    """A pool as strategies see it. What takes long is made when it is first asked for, and kept.

    Attributes:
        pool: the samples.
        line: the run, for stages of one's own.
        recipe: how scores are curated and neighbors found.
        curated: whether `scores` are corrected by those of neighbors.
        seed: of everything random.
        threads: at most so many; None for all. No result may depend on it.
        offline: open no socket.
        progress: to be called with `(done, total)` where a choice takes long.
        columns_read: a digest of every column that was looked at, by its name.
    """

    def __init__(
        self,
        line: Line,
        pool: Pool,
        wanted: Wanted,
        recipe: Recipe,
        noise: NoiseSource,
        *,
        curated: bool = False,
        features: Features | None = None,
        rated: list[Rated] | None = None,
    ) -> None:
        """Make them.

        Args:
            line: the run.
            pool: its pool.
            wanted: where scores and features are to come from.
            recipe: how scores are curated and neighbors found.
            noise: what tells the noise share.
            curated: correct the scores.
            features: rows that are there already, taken in place of those that `wanted` names.
            rated: ratings that are there already.
        """
        self.line = line
        self.pool = pool
        self.recipe = recipe
        self.curated = curated
        self.seed = wanted.seed
        self.threads = wanted.threads
        self.offline = wanted.offline
        self.progress: Progress = silent
        self.columns_read: dict[str, str] = {}
        self._wanted = wanted
        self._noise = noise
        given = {"features": features, "rated": rated}
        self.__dict__.update({name: value for name, value in given.items() if value is not None})

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.pool)

    def with_seed(self, seed: int) -> Inputs:
        """Give the same inputs under another seed; what was made so far is shared.

        Args:
            seed: of what strategies draw; features, neighbors and curation keep theirs.
        """
        other = copy.copy(self)
        other.seed = seed
        return other

    def has(self, name: str) -> bool:
        """Whether an input has been read or made: `features`, `analysis`, `rated`, ..."""
        return name in self.__dict__

    # scores

    @cached_property
    def rated(self) -> list[Rated]:
        """The ratings in classes, of each rater; the pool is rated where it has none."""
        wanted = self._wanted
        return [
            pool_scores(
                self.line, self.pool, score_col=column, scale=wanted.scale, rater=wanted.rater
            )
            for column in wanted.columns
        ]

    @property
    def classes(self) -> Scores:
        """The ratings of the first rater in classes 0..K-1, as DS2 has them."""
        return self.rated[0][0]

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Float64 `(N,)`: the scores as rated, or curated if that is asked for; NaN = none.

        Curated scores are expected scores (means of the posterior), on the scale of the ratings.
        """
        if self.curated:
            return self.analysis_on_scale()
        columns = self._wanted.columns
        if len(columns) > 1:
            raise PoolError(
                f"this strategy takes one column of scores, and {len(columns)} are named",
                "name one with `--score-col`, or combine them with `--curate`",
            )
        if asks_rater(self.pool, columns[0]):
            return self.classes.raw.fill_null(np.nan).to_numpy()
        return self.column(self.score_column, "--score-col")

    @cached_property
    def score_column(self) -> str:
        """The column of the scores as rated."""
        from ds2_fast.pool import find_score_columns

        name = self._wanted.columns[0]
        if name is not None:
            return name
        known = find_score_columns(self.pool)
        return known[0] if len(known) == 1 else self.classes.column

    @cached_property
    def analysis(self) -> Analysis:
        """Neighbors, T and p, curated scores, long-tail scores and trust, as `ds2` has them."""
        from ds2_fast.panel import analyze_raters

        rated = self.rated
        noise = [self._noise.resolve(self.line, scores) for scores, _ in rated]
        return analyze_raters(self.line, rated, self.features, self.recipe, noise)

    @property
    def found(self) -> Analysis | None:
        """The analysis, if a strategy has looked at it."""
        return self.__dict__.get("analysis")

    def analysis_on_scale(self) -> NDArray[np.float64]:
        """Give the curated scores on the scale of the ratings, float64 `(N,)`.

        A class stands for the mean of the ratings that were put into it, expected scores between
        two classes for what lies between.
        """
        found = self.analysis
        expected, classes = found.curated.value.expected, found.scores
        if found.panel is not None:
            return expected
        raw, known = classes.raw.to_numpy(), classes.values >= 0
        means = [
            raw[known & (classes.values == each)].mean()
            if (known & (classes.values == each)).any()
            else float(classes.starts[each])
            for each in range(classes.num_classes)
        ]
        on_scale: NDArray[np.float64] = np.interp(expected, np.arange(len(means)), means)
        return on_scale

    # features

    @cached_property
    def features(self) -> Features:
        """The rows in which samples are compared: embeddings, given or made."""
        wanted = self._wanted
        return make_features(
            self.line,
            self.pool,
            embeddings=wanted.embeddings,
            embedder=wanted.embedder,
            space=wanted.space,
            offline=wanted.offline,
            seed=wanted.seed,
            threads=wanted.threads,
            scores=self.classes if wanted.space == "auto" else None,
        )

    def neighbors(self, k: int) -> Neighbors:
        """Give the graph of the k or more nearest neighbors of every sample, self excluded.

        Args:
            k: neighbors per sample that are needed; fewer where the pool is smaller.
        """
        width = min(max(GRAPH_WIDTH, k, self.recipe.k), len(self) - 1)
        graph: Neighbors | None = self.__dict__.get("_graph", self.graph)
        if graph is None or graph.indices.shape[1] < width:
            graph = make_graph(
                self.line,
                self.features,
                width,
                method=self.recipe.knn,
                recall=self.recipe.recall,
                threads=self.threads,
            ).value
            self.__dict__["_graph"] = graph
        return graph

    @property
    def graph(self) -> Neighbors | None:
        """The neighbors, if a strategy has looked at them."""
        if self.found is not None:
            return self.found.neighbors
        return self.__dict__.get("_graph")

    @cached_property
    def projection(self) -> Projection:
        """Where every sample lies on a map of the features."""
        if self.found is not None:
            return self.found.projection.value
        return lay_out(self.line, self.features, self.recipe.seed).value

    @cached_property
    def longtail(self) -> NDArray[np.float64]:
        """Float64 `(N,)`, the long-tail scores: high = rare."""
        k = self.recipe.k
        return score_longtail(self.neighbors(k).similarities, k=k, definition=self.recipe.longtail)

    # columns and texts

    def column(self, name: str, option: str) -> NDArray[np.float64]:
        """Read a column of numbers, float64 `(N,)`, NaN where it has none.

        Args:
            name: of the column; `a.b` is the field `b` of the struct `a`.
            option: that named it, for errors.

        Raises:
            PoolError: there is none, or a value is no number or infinite.
        """
        from ds2_fast.pool.numbers import read_numbers

        numbers = read_numbers(self.pool, name, option)
        self.columns_read[name] = artifacts.digest_array(numbers)
        return numbers

    def known_column(self, names: Sequence[str]) -> str | None:
        """Give the first of some names that is a column of the pool."""
        columns = self.pool.frame.columns
        return next((name for name in names if name in columns), None)

    def values(self, name: str, option: str) -> pl.Series:
        """Give a column as it is.

        Args:
            name: of the column.
            option: that named it, for errors.

        Raises:
            PoolError: there is none.
        """
        from ds2_fast.pool.numbers import find_column

        column = find_column(self.pool, name, option)
        self.columns_read[name] = artifacts.digest_columns(column)
        return column

    @cached_property
    def tags(self) -> pl.Series | None:
        """The tags that `ds2-fast tag` left in the run directory of the same samples, if any."""
        from ds2_fast.tag_line import stored_tags

        return stored_tags(self.line, self.pool)

    @cached_property
    def texts(self) -> list[str]:
        """The text of every sample."""
        return self.pool.texts()

    @cached_property
    def conversations(self) -> list[list[Turn]]:
        """The turns of every sample."""
        return self.pool.conversations()

    @cached_property
    def responses(self) -> list[str]:
        """What the assistant says in each sample, all its turns joined by line ends."""
        return [
            "\n".join(turn.content for turn in turns if turn.role == "assistant" and turn.content)
            for turns in self.conversations
        ]

    @cached_property
    def groups(self) -> Groups:
        """The group of every sample.

        Raises:
            PoolError: no column is known for it.
        """
        if self.pool.groups is None:
            raise PoolError(
                "the group of every sample is needed, and no column is known for it",
                "name the column with `--group-col`",
            )
        return read_groups(self.pool.groups)

    def load(self, file: str | Path, option: str) -> NDArray[Any]:
        """Map an `.npy` file of floats, read-only, with the rows of the pool or any others.

        Args:
            file: its path.
            option: that named it, for errors.

        Raises:
            PoolError: it cannot be read, or holds no finite numbers of one or two dimensions.
        """
        from ds2_fast.pool.numbers import load_array

        return load_array(file, option)
