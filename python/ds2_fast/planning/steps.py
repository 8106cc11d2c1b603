"""The steps of a run, one after another: found in the run directory, or estimated."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

from ds2_fast.analysis import Analysis, Recipe
from ds2_fast.choice import make_choice
from ds2_fast.errors import ModelError
from ds2_fast.features import DEFAULT_EMBEDDER, Features, make_features
from ds2_fast.fitting import graph_width
from ds2_fast.gathering import Wanted
from ds2_fast.knn import choose_method
from ds2_fast.line import Line
from ds2_fast.panel import analyze_raters
from ds2_fast.planning import measuring
from ds2_fast.planning.looking import NotThereError, SeenRun
from ds2_fast.planning.step import Step, reused
from ds2_fast.scoring import JOURNAL, asks_rater, pool_scores

if TYPE_CHECKING:
    from ds2_fast.curation import Mode
    from ds2_fast.embedding import Embedder
    from ds2_fast.knn import MethodName
    from ds2_fast.longtail import Definition
    from ds2_fast.noise import Noise, NoiseSource
    from ds2_fast.panel import Rated
    from ds2_fast.pool import Pool
    from ds2_fast.quotas import Groups
    from ds2_fast.safeguards import Safeguards
    from ds2_fast.selection import Preset

_LEXICAL_DIM = 256
_USUAL_DIM = 384
_COMPARED = 50_000
"""Rows of each graph that compares spaces, at most."""


class Walk:
    """Walks the line, and remembers what would be done.

    What follows a stage that is not there cannot be looked up, since its key is made of digests:
    it will be computed.
    """

    def __init__(self, line: Line, pool: Pool, wanted: Wanted) -> None:
        assert isinstance(line.run, SeenRun), "nothing may be written"
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self._line, self._pool, self._wanted = line, pool, wanted
        self._run: SeenRun = line.run
        self._rated: list[Rated] | None = None
        self._noise: list[Noise] = []
        self._features: Features | None = None
        self._found: Analysis | None = None
        self._dim = _USUAL_DIM

    def _compute(
        self, name: str, seconds: float, memory: int | None, disk: int, basis: str
    ) -> None:
        rows = len(self._pool)
        self.steps.append(Step(name, "compute", rows, seconds, memory, disk, 0.0, basis))

    def read(self, seconds: float) -> None:
        """The pool, which was read."""
        held = int(self._pool.frame.estimated_size())
        basis = "measured: it was read"
        self.steps.append(Step("pool", "read", len(self._pool), seconds, held, 0, 0.0, basis))

    def gather(self, source: NoiseSource) -> None:
        """Scores and features; under a budget the features first."""
        if self._wanted.budget is None:
            self._scores(source)
            self._make_features()
            return
        self._make_features()
        self._budget()

    def _scores(self, source: NoiseSource) -> None:
        wanted, line = self._wanted, self._line
        try:
            rated = [
                pool_scores(line, self._pool, score_col=column, scale=wanted.scale, rater=None)
                if wanted.rater is None or not asks_rater(self._pool, column)
                else pool_scores(
                    line, self._pool, score_col=column, scale=wanted.scale, rater=wanted.rater
                )
                for column in wanted.columns
            ]
        except NotThereError:
            self._rate()
            return
        self._rated = rated
        self._noise = [source.resolve(line, scores) for scores, _ in rated]
        if "rating" in self._run.seen:
            self.steps.append(reused("rating"))
        else:
            self.notes += [scores.verdict for scores, _ in rated]

    def _rate(self) -> None:
        from ds2_fast.rating import plan_rating

        rater = self._wanted.rater
        assert rater is not None, "without a rater nothing is rated"
        names = signature(plan_rating).parameters
        options = {name: value for name, value in rater.options.items() if name in names}
        plan = plan_rating(
            self._pool.conversations(),
            rater.model,
            journal_path=self._run.path / JOURNAL,
            **options,
        )
        pace = {name: rater.options.get(name) for name in ("rpm", "tpm")}
        paced = any(value is not None for value in pace.values())
        seconds = 60 * plan.minutes(**pace) if paced or not plan.to_rate else None
        told = "at the pace of --rpm and --tpm" if paced else "its time is the provider's: --rpm"
        basis = (
            f"{plan.model}, {plan.stored:,} answers stored; about {plan.input_tokens:,} tokens in "
            f"and {plan.output_tokens:,} out, an estimate from {plan.basis}; {told}"
        )
        disk = plan.to_rate * measuring.ANSWER_BYTES
        self.steps.append(
            Step("rating", "rate", plan.to_rate, seconds, None, disk, plan.cost, basis)
        )

    def _budget(self) -> None:
        """Part of the ratings: bought, or looked at in a column."""
        from ds2_fast.budget import parse_budget

        wanted, rater = self._wanted, self._wanted.rater
        assert wanted.budget is not None, "asked only with a budget"
        if rater is None or not asks_rater(self._pool, wanted.columns[0]):
            disk = len(self._pool) * measuring.SHEET_BYTES
            self._compute("budget", 2.0, None, disk, measuring.CONSTANT)
            return
        from ds2_fast.buying import make_purchase

        purchase = make_purchase(self._pool.conversations(), rater, None)
        amount = parse_budget(wanted.budget, len(purchase.rows))
        count = purchase.samples(amount)
        disk = count * measuring.ANSWER_BYTES
        basis = f"{purchase.describe(amount)}; what is stored is not bought again"
        cost = amount.dollars if amount.dollars is not None else purchase.cost(count)
        self.steps.append(Step("budget", "rate", count, None, None, disk, cost, basis))

    def _make_features(self) -> None:
        """Features: each space that is needed, there or not."""
        wanted = self._wanted
        space = wanted.space or ("lexical" if wanted.embedder == "lexical" else "embedding")
        model = None
        if wanted.embeddings is None and space in ("embedding", "hybrid", "auto"):
            model = self._open_model()
            if model is None or (space == "auto" and self._rated is None):
                self._estimate_features(space, model)
                return
        before = len(self._run.seen)
        try:
            scores = None if self._rated is None else self._rated[0][0]
            self._features = make_features(
                self._line,
                self._pool,
                embeddings=wanted.embeddings,
                embedder=wanted.embedder,
                space=wanted.space,
                offline=True,
                seed=wanted.seed,
                threads=wanted.threads,
                scores=scores,
            )
        except NotThereError:
            self._estimate_features(space, model, self._run.seen[before:])
            return
        self._dim = self._features.rows.shape[1]
        seen = self._run.seen[before:]
        self.steps += [reused(name) for name in seen]
        if not seen:
            rows, dim = self._features.rows.shape
            self.notes.append(f"features given: {rows:,} rows of {dim}")

    def _open_model(self) -> Embedder | None:
        from ds2_fast.embedding import load_embedder
        from ds2_fast.embedding.resolving import at_hand

        name = self._wanted.embedder or DEFAULT_EMBEDDER
        if name == "lexical":
            return None
        if at_hand(name):
            try:
                return load_embedder(name, offline=True, threads=self._wanted.threads)
            except ModelError as error:
                self.notes.append(f"the model cannot be used: {error.message}")
                return None
        self.notes.append(f"the model `{name}` is not at hand: it would be fetched or imported")
        return None

    def _estimate_features(
        self, space: str, model: Embedder | None, there: list[str] | None = None
    ) -> None:
        """Steps for features that are not all there."""
        rows, there = len(self._pool), there or []
        semantic = self._wanted.embeddings is None and space in ("embedding", "hybrid", "auto")
        self._dim = (model.dim if model else _USUAL_DIM) if semantic else self._dim
        self.steps += [reused(name) for name in there]
        if semantic and "embedding" not in there:
            rate = measuring.TEXTS_A_SECOND
            basis = f"{rate:.0f} texts a second, {measuring.CONSTANT} of all-MiniLM-L6-v2"
            if model is not None:
                rate = measuring.embedding_rate(model, self._pool)
                basis = f"{model.name}, {rate:,.0f} texts a second, measured here on the pool"
            disk = 2 * rows * self._dim
            self.steps.append(Step("embedding", "embed", rows, rows / rate, None, disk, 0.0, basis))
        if space in ("lexical", "hybrid", "auto") and "lexical" not in there:
            disk, seconds = 2 * rows * _LEXICAL_DIM, rows * measuring.LEXICAL_SECONDS
            self._compute("lexical", seconds, None, disk, measuring.CONSTANT)
        if space == "auto":
            count = min(rows, _COMPARED)
            each = measuring.graph_seconds(count, self._dim, 10, "exact", self._wanted.threads)
            basis = "three small graphs, from a smaller one timed here"
            self._compute("space", 3 * each, None, 0, basis)
        if space == "lexical":
            self._dim = _LEXICAL_DIM
        elif space in ("hybrid", "auto"):
            self._dim += _LEXICAL_DIM
            if "hybrid" not in there:
                basis = f"{measuring.CONSTANT}{'; only if it wins' if space == 'auto' else ''}"
                self._compute("hybrid", 1e-5 * rows, None, 2 * rows * self._dim, basis)

    def analyze(
        self, mode: Mode, k: int, longtail: Definition, knn: MethodName, recall: float
    ) -> None:
        """From the neighbors to the long tail."""
        wanted, before = self._wanted, len(self._run.seen)
        recipe = Recipe(mode, k, longtail, knn, recall, wanted.seed, wanted.threads)
        missing = "neighbors"
        if self._rated is not None and self._features is not None:
            try:
                self._found = analyze_raters(
                    self._line, self._rated, self._features, recipe, self._noise
                )
            except NotThereError as error:
                missing = error.stage
        seen = self._run.seen[before:]
        self.steps += [reused(name) for name in dict.fromkeys(seen)]
        if self._found is not None:
            return
        rows, raters = len(self._pool), len(wanted.columns)
        if missing in ("neighbors", "index") and "neighbors" not in seen:
            self._estimate_graph(graph_width(mode, k, rows), knn, recall)
        seconds = raters * rows * measuring.AFTER_GRAPH_SECONDS
        disk = raters * rows * measuring.SHEET_BYTES
        name = "curation" if missing in ("neighbors", "index") else missing
        self._compute(name, seconds, None, disk, f"all up to the selection; {measuring.CONSTANT}")

    def _estimate_graph(self, width: int, knn: MethodName, recall: float) -> None:
        """A step for a graph that is not there."""
        rows, threads = len(self._pool), self._wanted.threads
        method, _ = choose_method(knn, rows, recall)
        features = None if self._features is None else self._features.rows
        seconds = measuring.graph_seconds(rows, self._dim, width, method, threads, features)
        memory = measuring.graph_memory(rows, self._dim, width, method)
        basis = f"{method}, {width} neighbors; time from a smaller graph timed here"
        if method == "usearch":
            basis = f"usearch, {width} neighbors; time is {measuring.CONSTANT}"
        self._compute("neighbors", seconds, memory, 8 * width * rows, basis)

    def choose(
        self,
        order: Preset,
        keep_outliers: bool,
        safeguards: Safeguards,
        groups: Groups | None,
    ) -> None:
        """The selection."""
        if self._found is not None and self._wanted.budget is None:
            try:
                make_choice(
                    self._line,
                    self._pool,
                    self._found,
                    n=self._wanted.n,
                    order=order,
                    keep_outliers=keep_outliers,
                    safeguards=safeguards,
                    groups=groups,
                    threads=self._wanted.threads,
                    starting=(),
                )
            except NotThereError:
                pass
            else:
                self.steps.append(reused("selection"))
                return
        rows = len(self._pool)
        basis = measuring.CONSTANT
        if safeguards.fill == "kcenter":
            basis += "; k-center can take longer, and says how long before it starts"
        self._compute("selection", 2e-6 * rows, None, rows * measuring.SHEET_BYTES, basis)

    def report(self, *, html: bool) -> None:
        """The report and its page."""
        seconds = measuring.REPORT_SECONDS if html else 0.2
        disk = 2_000_000 if html else 500_000
        basis = measuring.CONSTANT
        self.steps.append(Step("report", "compute", None, seconds, None, disk, 0.0, basis))

    def memory(self) -> int:
        """Bytes needed at once: the pool, the largest step, and the features it maps."""
        pool = self.steps[0].memory or 0
        largest = max((step.memory or 0 for step in self.steps[1:]), default=0)
        mapped = 2 * len(self._pool) * self._dim
        texts = int(self._pool.text.estimated_size())
        return pool + max(largest + mapped, texts) + measuring.PROGRAM_BYTES
