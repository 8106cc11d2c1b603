"""Running the jobs of a pool: journal, money, engine, and how a run that stopped says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ds2_fast.errors import BudgetReachedError, RatingError, RunError
from ds2_fast.rating.chances import AskChances
from ds2_fast.rating.drive import Drive
from ds2_fast.rating.engine import Engine
from ds2_fast.rating.header import write_header
from ds2_fast.rating.jobs import Jobs
from ds2_fast.rating.journal import Journal, Loaded, Record, load_journal
from ds2_fast.rating.lock import run_lock
from ds2_fast.rating.money import Spending
from ds2_fast.rating.plan import RatingPlan, make_plan
from ds2_fast.rating.progress import RatingProgress, Watch
from ds2_fast.rating.render import Conversation
from ds2_fast.rating.rules import Stop
from ds2_fast.rating.stored import Stored
from ds2_fast.rating.transport import Transport

if TYPE_CHECKING:
    from ds2_fast.rating.run import Limits, Setup

RESUME = "the same command resumes; nothing that is stored is bought again"


@dataclass(frozen=True)
class Ran:
    """A run that came to its end.

    Attributes:
        jobs: the requests of the pool.
        plan: what was expected.
        engine: what happened.
        spending: what it cost.
        spent_before: dollars of earlier runs on the journal.
        results: record by key.
        loaded: the journal as it was before.
        seconds: how long it took.
    """

    jobs: Jobs
    plan: RatingPlan
    engine: Engine
    spending: Spending
    spent_before: float
    results: Mapping[str, Record]
    loaded: Loaded
    seconds: float


def run_jobs(
    setup: Setup,
    limits: Limits,
    conversations: Sequence[Conversation],
    journal_path: Path,
    *,
    rater: Transport | None,
    on_progress: Callable[[RatingProgress], None] | None,
) -> Ran:
    """Ask for every sample that the journal does not answer; see `ds2_fast.rating.rate`.

    Args:
        setup: what is asked.
        limits: what the run may use.
        conversations: the pool.
        journal_path: where answers go first.
        rater: what answers in place of a provider; None for the transport of `setup`.
        on_progress: called a few times a second, in this thread.

    Raises:
        RatingError, BudgetReachedError, RunError, KeyboardInterrupt, ValueError: see there.
    """
    limits.check(setup.price, setup.asking.model)
    start = time.monotonic()
    with run_lock(journal_path):
        jobs = setup.jobs(conversations)
        loaded = load_journal(journal_path, setup.asking.kind.restore)
        stored = setup.stored(jobs, loaded)
        plan = make_plan(jobs, stored, setup.endpoint, setup.price)
        spending = Spending(
            setup.price, limits.max_cost, stored.spent(setup.price), possible=loaded.possible
        )
        spent_before = spending.spent
        with _open_journal(journal_path) as journal:
            engine = Engine(
                jobs,
                journal,
                spending,
                limits.rules,
                ceiling=limits.max_concurrency,
                rpm=limits.rpm,
                tpm=limits.tpm,
            )
            if stored.todo:
                with _disk_of(journal_path):
                    write_header(journal, setup, plan, setup.price)
                _drive(engine, setup, stored, rater, Watch(engine, plan, spending, on_progress))
    results = {**stored.results, **engine.results}
    _raise_if_stopped(engine, len(jobs), results)
    seconds = round(time.monotonic() - start, 3)
    return Ran(jobs, plan, engine, spending, spent_before, results, loaded, seconds)


def _drive(
    engine: Engine, setup: Setup, stored: Stored, rater: Transport | None, watch: Watch
) -> None:
    async def work() -> None:
        if rater is not None:
            await engine.run(stored.todo, rater, proven=stored.proven)
            return
        async with _open_transport(setup, engine.rules.timeout) as transport:
            asked = transport
            if setup.expected != "off":
                asked = AskChances(transport, setup.expected)
            await engine.run(stored.todo, asked, proven=stored.proven)

    Drive(work, lambda: engine.stop(Stop.INTERRUPTED), watch.poll).run()
    watch.poll()


def _open_transport(setup: Setup, timeout: float) -> AbstractAsyncContextManager[Transport]:
    asking = setup.asking
    if setup.transport == "direct":
        from ds2_fast.rating.transport_direct import open_direct

        return open_direct(asking.model, setup.endpoint)
    from ds2_fast.rating.transport_litellm import open_litellm

    return open_litellm(asking.model, setup.endpoint, timeout, asking.params)


@contextmanager
def _open_journal(path: Path) -> Iterator[Journal]:
    """The journal, closed at the end; a disk that refuses it is said in one sentence."""
    with _disk_of(path):
        journal = Journal(path)
    try:
        yield journal
    except BaseException:
        with suppress(OSError):  # what went wrong first is what is told
            journal.close()
        raise
    with _disk_of(path):
        journal.close()


@contextmanager
def _disk_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, (error.strerror or str(error)).lower()) from error


def _cannot_write(path: Path, reason: str) -> RunError:
    return RunError(
        f"cannot write the journal `{path}`: {reason}", f"make room or rights; {RESUME}"
    )


def _raise_if_stopped(engine: Engine, total: int, results: Mapping[str, object]) -> None:
    """Turn the reason a run stopped into the exception a caller can mend."""
    message, hint = engine.stop_message, engine.stop_hint
    kept = f"{len(results):,} of {total:,} samples are stored"
    match engine.stop_reason:
        case None | Stop.BUG:  # a bug has raised its own exception
            return
        case Stop.INTERRUPTED:
            raise KeyboardInterrupt(f"{kept}; {RESUME}")
        case Stop.BUDGET:
            raise BudgetReachedError(
                f"`--max-cost` is reached; {kept}", f"raise `--max-cost`; {RESUME}"
            )
        case Stop.DISK:
            raise RunError(
                f"the journal cannot be written: {message}; {kept}", f"make room; {RESUME}"
            )
        case Stop.HOPELESS:
            raise RatingError(
                message, "read `raw` in the journal; cut answers want a higher `--max-tokens`"
            )
        case Stop.FATAL:
            raise RatingError(f"the provider refuses: {message}", hint)
        case Stop.DOWN | Stop.GIVE_UP:
            raise RatingError(f"the endpoint does not answer: {message}; {kept}", RESUME)
