"""Token losses of responses, given their prompts and alone: what perplexity and IFD are made of."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from ds2_fast.errors import RunError
from ds2_fast.losses.asking import Limits
from ds2_fast.losses.exchange import TEMPLATES, Exchange, digest_exchanges, make_exchanges
from ds2_fast.losses.keeping import Keep, load_losses, unit_key, write_losses
from ds2_fast.losses.onnx_lm import OnnxLm, open_causal_lm
from ds2_fast.losses.result import REFUSED, STATUSES, Losses, make_losses
from ds2_fast.losses.server_lm import ServerLm, open_server_lm
from ds2_fast.progress import Progress, silent
from ds2_fast.rating.journal import Journal
from ds2_fast.rating.lock import run_lock

__all__ = [
    "STATUSES",
    "TEMPLATES",
    "Exchange",
    "LanguageModel",
    "Limits",
    "Losses",
    "OnnxLm",
    "ServerLm",
    "digest_exchanges",
    "make_exchanges",
    "measure_exchanges",
    "measure_losses",
    "open_causal_lm",
    "open_server_lm",
]

# What was written survives a kill at once, and a power cut after so long.
_SYNC_SECONDS = 1.0


class LanguageModel(Protocol):
    """What measures exchanges, `unit_rows` at a time; see `OnnxLm` and `ServerLm`."""

    name: str
    key: str
    max_tokens: int
    unit_rows: int

    def measure(
        self,
        exchanges: Sequence[Exchange],
        begins: Sequence[int],
        keep: Keep,
        progress: Progress = silent,
    ) -> None:
        """Measure the units that begin at these rows, and hand each to `keep`."""
        ...


def measure_losses(
    prompts: Sequence[str],
    responses: Sequence[str],
    model: str | os.PathLike[str] | LanguageModel,
    *,
    template: str = "plain",
    max_tokens: int | None = None,
    threads: int | None = None,
    journal: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Losses:
    """Measure how well a language model predicts each response, given its prompt and alone.

    For a response of tokens `a_1 .. a_n` after the tokens q of its prompt,

        conditioned = -(1/n) sum_i log P(a_i | q, a_1 .. a_(i-1))
        direct      = -(1/n) sum_i log P(a_i | a_1 .. a_(i-1))

    as far as the tokens are kept and have another before them: a tokenizer that begins a text with
    a special token (Llama's `<s>`) has `direct` count `a_1`, one that does not (GPT-2's) begins
    with `a_2`.

    Args:
        prompts: N texts.
        responses: N texts.
        model: folder or ONNX file of a causal language model (see `open_causal_lm`), or what
            `open_causal_lm` or `open_server_lm` gave.
        template: what joins prompt and response, see `TEMPLATES`.
        max_tokens: for a folder; tokens kept of both, None for 1,024 or the model's limit.
        threads: for a folder; None for all processors. Never changes a loss.
        journal: file that keeps what was measured: a run that was killed goes on from it, with the
            same losses as if it had not been.
        progress: called with `(done, total)` distinct samples.

    Returns:
        One entry a sample. Equal samples have equal losses.

    Raises:
        ModelError: the model cannot be opened or run, or does not tell log-probabilities.
        RatingError: the server refuses, or did not answer for some samples.
        RunError: the journal is another process's, or cannot be written.
        TypeError: an element is not a string.
        ValueError: the lengths differ, or an argument is out of range.

    Cost: two passes of the network over each response and one over each prompt.

    Source: the scripts published with Superfiltering (arXiv 2402.00530, section 3) and Cherry LLM
    (arXiv 2308.12032, section 2.2): what is tokenized, truncated and counted.
    """
    exchanges = make_exchanges(prompts, responses, template)
    if isinstance(model, str | os.PathLike):
        model = open_causal_lm(model, max_tokens=max_tokens, threads=threads)
    elif max_tokens is not None or threads is not None:
        raise ValueError("max_tokens and threads are those of the opened model")
    return measure_exchanges(exchanges, model, journal=journal, progress=progress)


def measure_exchanges(
    exchanges: Sequence[Exchange],
    model: LanguageModel,
    *,
    journal: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Losses:
    """Measure samples in their template; see `measure_losses`."""
    places: dict[Exchange, int] = {}
    for exchange in exchanges:
        places.setdefault(exchange, len(places))
    distinct = list(places)
    begins = range(0, len(distinct), model.unit_rows)
    keys = {
        begin: unit_key(model.key, distinct[begin : begin + model.unit_rows]) for begin in begins
    }
    path = None if journal is None else Path(journal)
    with _kept(path) as (known, write):
        found = {begin: known[keys[begin]] for begin in begins if keys[begin] in known}
        todo = [begin for begin in begins if begin not in found]

        def keep(begin: int, losses: Losses) -> None:
            found[begin] = losses
            # Another run may have a server that takes longer texts.
            if REFUSED not in losses.status:
                write(keys[begin], losses)

        progress(sum(map(len, found.values())), len(distinct))
        if todo:
            model.measure(distinct, todo, keep, progress)
    return _joined([found[begin] for begin in begins]).take([places[e] for e in exchanges])


def _joined(parts: Sequence[Losses]) -> Losses:
    if not parts:
        return make_losses([])
    columns = ("conditioned", "direct", "tokens", "status")
    return Losses(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


class _Writer(Protocol):
    def __call__(self, key: str, losses: Losses) -> None: ...


@contextmanager
def _kept(path: Path | None) -> Iterator[tuple[dict[str, Losses], _Writer]]:
    """What a journal knows, and what writes to it; neither, without one."""
    if path is None:
        yield {}, lambda key, losses: None
        return
    with run_lock(path):
        known = load_losses(path)
        try:
            journal = Journal(path)
        except OSError as error:
            raise _cannot_write(path, error) from error
        synced = time.monotonic()

        def write(key: str, losses: Losses) -> None:
            nonlocal synced
            try:
                write_losses(journal, key, losses)
                if time.monotonic() - synced > _SYNC_SECONDS:
                    journal.sync()
                    synced = time.monotonic()
            except OSError as error:
                raise _cannot_write(path, error) from error

        try:
            yield known, write
        finally:
            with suppress(OSError):  # what was written stays; what went wrong first is told
                journal.close()


def _cannot_write(path: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write the journal `{path}`: {(error.strerror or str(error)).lower()}",
        "make room or rights; run again, and what is stored is not measured again",
    )
