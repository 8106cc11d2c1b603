"""Walk the line without running it, and estimate what is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.gathering import Wanted
from ds2_fast.line import default_run_dir
from ds2_fast.planning.choosing import StrategyWalk
from ds2_fast.planning.looking import look_at
from ds2_fast.planning.step import Step
from ds2_fast.presets import PRESETS, PresetName, check_neighbors, neighbors_counted
from ds2_fast.quotas import read_groups
from ds2_fast.room import available_memory, free_disk, size
from ds2_fast.safeguards import Safeguards
from ds2_fast.scoring import Rater
from ds2_fast.sizes import parse_sizes
from ds2_fast.strategies import IS_DS2
from ds2_fast.strategy_line import (
    Given,
    check_sizes,
    curates,
    curation_of,
    plan_strategy,
    space_of,
)
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    from ds2_fast.curation import Mode
    from ds2_fast.knn import MethodName
    from ds2_fast.safeguards import Fill


@dataclass(frozen=True)
class Plan:
    """What a selection would do. Figures are estimates, each with its basis.

    Attributes:
        rows: samples of the pool.
        schema: what it was taken for.
        run_dir: the run directory; None for data in memory.
        sizes: subset sizes.
        steps: what would be done, in order.
        notes: what else is to be known.
        memory: bytes needed at once, at most, the pool included.
        memory_free: bytes this process can still use; None = the system does not say.
        disk: bytes the run directory would grow by.
        disk_free: bytes left there; None = the system does not say.
    """

    rows: int
    schema: str
    run_dir: str | None
    sizes: tuple[int, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    memory: int
    memory_free: int | None
    disk: int
    disk_free: int | None

    @property
    def seconds(self) -> float | None:
        """Time of all steps; None if that of one is not known."""
        return _sum([step.seconds for step in self.steps])

    @property
    def dollars(self) -> float | None:
        """Money of all steps; None if that of one is not known."""
        return _sum([step.dollars for step in self.steps])

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return {
            **vars(self),
            "sizes": list(self.sizes),
            "steps": [step.to_dict() for step in self.steps],
            "notes": list(self.notes),
            "seconds": self.seconds,
            "dollars": self.dollars,
        }

    def describe(self) -> str:
        """The plan in a few lines."""
        known = [step.seconds for step in self.steps if step.seconds is not None]
        unknown = [
            "the strategy" if step.name == "selection" else "the rater"
            for step in self.steps
            if step.seconds is None
        ]
        rest = f" and what {' and '.join(unknown)} takes" if unknown else ""
        free = "" if self.memory_free is None else f", {size(self.memory_free)} available"
        left = "" if self.disk_free is None else f", {size(self.disk_free)} left"
        money = "not known" if self.dollars is None else f"${self.dollars:,.2f}"
        kept = "nowhere: the data are in memory" if self.run_dir is None else self.run_dir
        lines = [
            ("schema", self.schema.splitlines()[0]),
            ("run in", kept),
            *((step.name, step.tell()) for step in self.steps),
            *(("note", note) for note in self.notes),
            ("time", f"about {duration(sum(known))}{rest}"),
            ("memory", f"about {size(self.memory)} at most{free}"),
            ("disk", f"about {size(self.disk)} more{left}"),
            ("money", f"about {money}" if self.dollars else money),
        ]
        return "\n".join(f"{name:<12} {words}" for name, words in lines)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def plan_run(
    data: object,
    n: int | str | Sequence[int | str] | None,
    *,
    score_col: str | Sequence[str] | None = None,
    scale: str | None = None,
    model: str | None = None,
    embeddings: str | Path | NDArray[Any] | None = None,
    embedder: str | None = None,
    space: str | None = None,
    preset: PresetName = "default",
    curation: Mode | None = None,
    noise_share: float | None = None,
    second_rater: str | None = None,
    audit: str | Path | None = None,
    k: int | None = None,
    keep_outliers: bool = False,
    knn: MethodName = "auto",
    recall: float = 0.99,
    dedup: float | None = None,
    fill: Fill = "longtail",
    mix: Mapping[str, float] | None = None,
    min_share: float = 0.0,
    seed: int = 42,
    threads: int | None = None,
    run_dir: str | Path | None = None,
    html: bool = True,
    pool_options: Mapping[str, Any] | None = None,
    rating_options: Mapping[str, Any] | None = None,
    budget: int | str | None = None,
    strategy: str = "ds2",
    strategy_options: Mapping[str, Any] | None = None,
    curate: bool = False,
) -> Plan:
    """Say what `select` with the same arguments would do, and what that takes.

    Reads the pool and what the run directory has of it, opens the embedding model if it is at
    hand, and measures for a second or two how fast this machine embeds and searches. Writes
    nothing, fetches nothing, asks nobody.

    Args:
        data: see `ds2_fast.select`, as all other arguments.
        n: how many samples.
        score_col: see there.
        scale: see there.
        model: see there.
        embeddings: see there.
        embedder: see there.
        space: see there.
        preset: see there.
        curation: see there.
        noise_share: see there.
        second_rater: see there.
        audit: see there.
        k: see there.
        keep_outliers: see there.
        knn: see there.
        recall: see there.
        dedup: see there.
        fill: see there.
        mix: see there.
        min_share: see there.
        seed: see there.
        threads: see there.
        run_dir: see there.
        html: see there.
        pool_options: see there.
        rating_options: see there.
        budget: see there.
        strategy: see there.
        strategy_options: see there.
        curate: see there.

    Returns:
        The plan. What a strategy looks at is told by what it says it needs: it may look at less.

    Raises:
        Ds2Error: for input that `select` would refuse before it does any work.
    """
    from ds2_fast.noise import read_noise
    from ds2_fast.panel import raters_named
    from ds2_fast.pool import read_pool

    if preset not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    defaults, safeguards = PRESETS[preset], Safeguards(dedup, fill, mix, min_share)
    check_neighbors(k)
    how = plan_strategy(
        strategy,
        strategy_options,
        Given.of(
            curate,
            dedup=dedup,
            fill=fill,
            mix=mix,
            min_share=min_share,
            keep_outliers=keep_outliers,
            budget=budget,
            preset=preset,
            curation=curation,
            noise_share=noise_share,
            second_rater=second_rater,
            audit=audit,
        ),
    )
    started = perf_counter()
    pool = read_pool(data, **(pool_options or {}))
    seconds = perf_counter() - started
    sizes = parse_sizes(n, len(pool))
    counted = neighbors_counted(k, defaults, len(pool))
    check_sizes(how, sizes)
    in_line = strategy in IS_DS2
    mode = curation_of(how, curation, defaults)
    groups = None if pool.groups is None else read_groups(pool.groups)
    safeguards.check(preset=preset, sizes=sizes, groups=groups)
    source = read_noise(
        pool, noise_share=noise_share, second_rater=second_rater, audit=audit, curation=mode
    )
    folder = Path(run_dir) if run_dir is not None else None
    if folder is None and pool.sources:
        folder = default_run_dir(pool.inputs[0])
    if folder is not None and folder.is_file():
        raise PoolError(f"`{folder}` is a file", "choose another folder with `--run-dir`")
    wanted = Wanted(
        columns=raters_named(score_col),
        scale=scale,
        rater=None if model is None else Rater(model, rating_options or {}, None),
        budget=budget,
        n=max(sizes, default=None),
        embeddings=embeddings,
        embedder=embedder,
        space=space
        if budget is not None
        else space_of(how, curate, defaults, space=space, embeddings=embeddings, embedder=embedder),
        offline=True,
        seed=seed,
        threads=threads,
    )
    walk = StrategyWalk(look_at(folder), pool, wanted)
    walk.read(seconds)
    if in_line or curates(how, curate):
        walk.gather(source)
        walk.analyze(mode, counted, defaults.longtail, knn, recall)
    else:
        walk.prepare(how, source, counted, knn, recall)
    if in_line:
        walk.choose(defaults.selection, keep_outliers, safeguards, groups)
    else:
        walk.choose_by(how)
    walk.report(html=html)
    return Plan(
        len(pool),
        pool.schema.verdict,
        None if folder is None else str(folder),
        sizes,
        tuple(walk.steps),
        tuple(walk.notes),
        walk.memory(),
        available_memory(),
        sum(step.disk for step in walk.steps),
        None if folder is None else free_disk(folder),
    )
