"""`ds2-fast losses`: how well a language model predicts the responses of a pool."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import click
import numpy as np

from ds2_fast.cli.loss_options import SERVER_OPTIONS, causal_lm_options, server_options
from ds2_fast.cli.options import run_options
from ds2_fast.cli.pool_options import OPTION_NAMES, pool_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.progress import Narrator


class LossesCommand(SectionedCommand):
    """A command whose model is no rater."""

    sections: ClassVar = {
        "Output": ("output",),
        "Language model": ("causal_lm", "template", "max_tokens"),
        "Model on a server": ("model", "api_base", *SERVER_OPTIONS),
        "Reading the pool": OPTION_NAMES,
    }


@click.command(cls=LossesCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the losses to this .parquet file, with the samples' ids.",
)
@causal_lm_options
@click.option(
    "--max-tokens",
    type=click.IntRange(2),
    help="Tokens kept of prompt and response.  [default: 1024, or the model's limit]",
)
@server_options
@pool_options
@run_options
def losses(
    pool: tuple[str, ...],
    narrator: Narrator,
    quiet: bool,
    as_json: bool,
    pool_options: dict[str, Any],
    seed: int,
    **options: Any,
) -> None:
    """Measure the token losses of every response of POOL, given its prompt and alone.

    They are what perplexity and IFD are made of. An interrupted run goes on where it stopped.

    \b
    Examples:
      ds2-fast losses pool.parquet --causal-lm ./gpt2-onnx -o losses.parquet
      ds2-fast losses pool.jsonl --api-base http://127.0.0.1:8000/v1 --model gpt2
    """
    from ds2_fast.measuring import measure_pool

    server = {name: options.pop(name) for name in SERVER_OPTIONS}
    found = measure_pool(
        list(pool), server_options=server, pool_options=pool_options, narrator=narrator, **options
    )
    if as_json:
        about = {
            "rows": len(found),
            "status": dict(sorted(Counter(found.status.tolist()).items())),
            "tokens": int(found.tokens.sum()),
            "mean_conditioned": _mean(found.conditioned),
            "mean_direct": _mean(found.direct),
        }
        click.echo(json.dumps(about))


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
