"""The plan of a run that another strategy than DS2 selects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ds2_fast.planning import measuring
from ds2_fast.planning.looking import NotThereError
from ds2_fast.planning.step import Step, reused
from ds2_fast.planning.steps import Walk
from ds2_fast.presets import GRAPH_WIDTH
from ds2_fast.scoring import asks_rater

if TYPE_CHECKING:
    from ds2_fast.knn import MethodName
    from ds2_fast.noise import NoiseSource
    from ds2_fast.strategies import Plan as Strategies


class StrategyWalk(Walk):
    """Walks what a strategy says it needs; how long the choice itself takes is not estimated."""

    def prepare(
        self, plan: Strategies, source: NoiseSource, k: int, knn: MethodName, recall: float
    ) -> None:
        """What would be made for it: ratings, features, neighbors.

        Args:
            plan: the strategy.
            source: what tells the noise share.
            k: neighbors of a score of rarity.
            knn: how neighbors are found.
            recall: share of them that is enough.
        """
        needs = " ".join(part.needs for part in plan.parts)
        rater = self._wanted.rater
        if (
            "scores" in needs
            and rater is not None
            and asks_rater(self._pool, self._wanted.columns[0])
        ):
            self._scores(source)
        if "embeddings" in needs:
            self._make_features()
        if "neighbors" in needs:
            self._find_neighbors(min(max(GRAPH_WIDTH, k), len(self._pool) - 1), knn, recall)

    def _find_neighbors(self, width: int, knn: MethodName, recall: float) -> None:
        from ds2_fast.graphing import make_graph

        if self._features is not None:
            try:
                make_graph(
                    self._line,
                    self._features,
                    width,
                    method=knn,
                    recall=recall,
                    threads=self._wanted.threads,
                )
            except NotThereError:
                pass
            else:
                self.steps.append(reused("neighbors"))
                return
        self._estimate_graph(width, knn, recall)

    def choose_by(self, plan: Strategies) -> None:
        """The choice itself, and what it needs in the words of its parts."""
        for part in plan.parts:
            self.notes.append(f"`{part.name}` needs {part.needs}")
        rows = len(self._pool)
        disk = rows * measuring.SHEET_BYTES
        self.steps.append(
            Step("selection", "compute", rows, None, None, disk, 0.0, f"by {plan.name}")
        )
