"""Token losses of a pool's responses: with what model, and kept in a run directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast import artifacts
from ds2_fast.atomic import atomic_path
from ds2_fast.errors import ModelError
from ds2_fast.line import Line, open_line
from ds2_fast.progress import QUIET, Narrator, Progress
from ds2_fast.rundir import Stage
from ds2_fast.source import open_pool, record_pool

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.losses import LanguageModel, Losses
    from ds2_fast.pool import Pool

JOURNAL = "losses.jsonl"

_WHY = {
    "empty": "have no response",
    "truncated": "have a prompt that takes all tokens that are kept",
    "one_token": "have a response of one token, which has no loss alone",
    "refused": "were refused by the server",
}


def measure_pool(
    data: object,
    *,
    causal_lm: str | Path | None = None,
    model: str | None = None,
    api_base: str | None = None,
    template: str = "plain",
    max_tokens: int | None = None,
    server_options: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    run_dir: str | Path | None = None,
    threads: int | None = None,
    offline: bool = False,
    pool_options: Mapping[str, Any] | None = None,
    narrator: Narrator = QUIET,
) -> Losses:
    """Measure how well a language model predicts the responses of a pool, given prompts and alone.

    The response of a sample is the last turn of the assistant, its prompt what stands before.

    Args:
        data: the pool, see `select`.
        causal_lm: folder or ONNX file of a causal language model.
        model: name of a model on a server, in place of `causal_lm`.
        api_base: address of that server.
        template: what joins prompt and response: `plain` or `response`, see
            `ds2_fast.losses.TEMPLATES`.
        max_tokens: tokens kept of both; None for 1,024 or the model's limit.
        server_options: further arguments of `open_language_model`.
        output: `.parquet` file that gets the losses, with the samples' ids.
        run_dir: see `select`; for data in memory give one, or a killed run begins anew.
        threads: callers of the network; never changes a loss.
        offline: open no socket.
        pool_options: see `select`.
        narrator: is told what happens.

    Returns:
        The losses, one entry a sample in pool order.

    Raises:
        PoolError: the pool cannot be read, is not split into turns, or the output is the pool or no
            `.parquet`.
        ModelError: no model is named, or it cannot be had.
        RatingError: the server refuses, or did not answer for some samples; what it answered is
            kept, and the same call goes on.
    """
    from ds2_fast.pool import check_output

    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    if output is not None:
        check_output(pool, output, suffix=".parquet")
    lm = open_language_model(
        causal_lm,
        model,
        api_base=api_base,
        max_tokens=max_tokens,
        threads=threads,
        offline=offline,
        **(server_options or {}),
    )
    with open_line(folder, narrator) as line:
        losses = pool_losses(line, pool, lm, template=template).value
        record_pool(line, pool, pool_options)
    if output is not None:
        with atomic_path(output) as temporary:
            losses_frame(pool, losses).write_parquet(temporary)
        narrator.done("wrote", f"{len(losses):,} losses to {output}")
    return losses


def open_language_model(
    causal_lm: str | Path | None,
    model: str | None = None,
    *,
    api_base: str | None = None,
    max_tokens: int | None = None,
    threads: int | None = None,
    offline: bool = False,
    api_key_env: str | None = None,
    insecure_http: bool = False,
    concurrency: int | None = None,
    rpm: float | None = None,
    timeout: float | None = None,
    give_up: float | None = None,
) -> LanguageModel:
    """Open the one language model that is named.

    Args:
        causal_lm: folder or ONNX file.
        model: name of a model on a server.
        api_base: address of that server.
        max_tokens: tokens kept of prompt and response; None for 1,024 or the model's limit.
        threads: callers of an ONNX network.
        offline: open no socket.
        api_key_env: name of the environment variable that holds the server's key.
        insecure_http: send a key over plain http to another machine all the same.
        concurrency: requests in flight at most; this and the next are those of
            `ds2_fast.losses.Limits`, None for its default.
        rpm: requests a minute.
        timeout: seconds a request may take.
        give_up: seconds without any answer before the run stops.

    Raises:
        ModelError: none is named, or two, or it cannot be had.
        RatingError: the server's address or key cannot be used.
    """
    from ds2_fast.losses import Limits, open_causal_lm, open_server_lm

    if (causal_lm is None) == (model is None):
        raise ModelError(
            "token losses need a language model" if model is None else "two models are named",
            "give `--causal-lm FOLDER`, an ONNX export of a model such as GPT-2 or SmolLM2; or "
            "`--api-base URL --model NAME`, a server that tells log-probabilities of a prompt",
        )
    if causal_lm is not None:
        return open_causal_lm(causal_lm, max_tokens=max_tokens, threads=threads)
    if offline:
        raise ModelError(
            f"`{model}` is on a server, and `--offline` opens no socket",
            "leave out `--offline`, or name an ONNX model with `--causal-lm`",
        )
    assert model is not None
    said: dict[str, Any] = {
        "concurrency": concurrency, "rpm": rpm, "timeout": timeout, "give_up": give_up,
    }  # fmt: skip
    return open_server_lm(
        model,
        api_base,
        max_tokens=max_tokens,
        api_key_env=api_key_env,
        insecure_http=insecure_http,
        limits=Limits(**{name: value for name, value in said.items() if value is not None}),
    )


def pool_losses(
    line: Line, pool: Pool, model: LanguageModel, *, template: str = "plain"
) -> Stage[Losses]:
    """Measure a pool in a run directory, going on where an interrupted run stopped.

    Args:
        line: where the losses are kept: `losses.parquet`, and `losses.jsonl` while it runs.
        pool: the pool.
        model: from `open_language_model`.
        template: what joins prompt and response.

    Raises:
        PoolError: the pool is not split into turns.
        ModelError: see `ds2_fast.losses.measure_losses`.
        RatingError: see there.
    """
    from ds2_fast.losses import digest_exchanges, make_exchanges, measure_exchanges
    from ds2_fast.pool import prompts_and_responses

    exchanges = make_exchanges(*prompts_and_responses(pool), template)

    def compute(progress: Progress) -> Losses:
        return measure_exchanges(
            exchanges, model, journal=line.run.path / JOURNAL, progress=progress
        )

    stage = line.stage(
        "losses",
        artifacts.LOSSES,
        compute,
        inputs={"exchanges": digest_exchanges(exchanges), "model": model.key},
        params={"template": template, "max_tokens": model.max_tokens},
        unit="samples",
        told=lambda losses: _told(losses, model.name),
    )
    for status, count in sorted(Counter(stage.value.status.tolist()).items()):
        if status in _WHY:
            line.narrator.warn(f"{count:,} of {len(pool):,} samples {_WHY[status]}")
    return stage


def _told(losses: Losses, name: str) -> str:
    measured = int(np.count_nonzero(~np.isnan(losses.conditioned)))
    if not np.isfinite(losses.direct).any():
        return f"measured {measured:,} responses with {name}"
    given, alone = np.nanmean(losses.conditioned), np.nanmean(losses.direct)
    return (
        f"measured {measured:,} responses with {name}: mean loss {given:.3f} nats a token given "
        f"the prompt, {alone:.3f} alone"
    )


def losses_frame(pool: Pool, losses: Losses) -> pl.DataFrame:
    """Put losses into columns beside the samples' rows and ids; null where there is no loss."""
    import polars as pl

    ids = [] if pool.ids is None else [pool.ids.alias("ds2_id")]
    return pl.DataFrame([
        pl.Series("ds2_index", np.arange(len(pool), dtype=np.uint32)),
        *ids,
        pl.Series("loss_conditioned", losses.conditioned, nan_to_null=True),
        pl.Series("loss_direct", losses.direct, nan_to_null=True),
        pl.Series("loss_tokens", losses.tokens),
        pl.Series("loss_status", losses.status.tolist(), dtype=pl.String),
    ])  # fmt: skip
