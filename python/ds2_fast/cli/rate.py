"""`ds2-fast rate`: have LLMs rate the pool."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ds2_fast.cli.budget_options import budget_rate_options
from ds2_fast.cli.options import narrator
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.raters_file import gather_raters
from ds2_fast.cli.rating_options import rate_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.cli.settings import settle

ON_A_RUN = {
    "status": "Say what a run has of ratings, and what they cost.",
    "export": "Write the ratings of a run, finished or not, to a file.",
    "reparse": "Read the stored answers of a run once more; nothing is asked.",
    "import": "Bring ratings you have into the form of this tool.",
    "batch-export": "Write what is left to rate as batch files (OpenAI's format).",
    "batch-import": "Read the result files of a batch into a run.",
}


class RateCommand(SectionedCommand):
    """A command whose first word may be one that works on a finished run instead of a pool."""

    @property
    def commands(self) -> dict[str, click.Command]:
        """The commands that work on a run, by the word that calls them."""
        module = import_module("ds2_fast.cli.rate_run")
        return {
            name: settle(getattr(module, f"{name.replace('-', '_')}_"), ("rate", name))
            for name in ON_A_RUN
        }

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Hand over to the other command, where one is named; a pool `./status` is still a pool."""
        if args and args[0] in ON_A_RUN:
            other = self.commands[args[0]]
            return other.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command the context was made for."""
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the other commands before the options."""
        with formatter.section("On a run"):
            formatter.write_dl([(f"rate {name}", text) for name, text in ON_A_RUN.items()])
        super().format_options(ctx, formatter)


@click.command(cls=RateCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the ratings to this .parquet file, with the samples' ids.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Folder of the artifacts.  [default: POOL.ds2 beside the pool]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@budget_rate_options
@rate_options(several=True)
@pool_options
def rate(
    pool: tuple[str, ...],
    model: tuple[str, ...],
    raters: Path | None,
    output: Path | None,
    run_dir: Path | None,
    quiet: bool,
    dry_run: bool,
    yes: bool,
    pool_options: dict[str, Any],
    budget: str | None,
    n: str | None,
    embeddings: str | None,
    embedder: str | None,
    space: str | None,
    seed: int,
    threads: int | None,
    offline: bool,
    **options: Any,
) -> None:
    """Rate every sample of POOL with a language model, or with several, or part of it.

    Each answer is stored as it comes: after a crash, Ctrl-C or a reached cap the same command goes
    on where it was, and buys no stored answer again. `ds2-fast select` on the same pool uses the
    ratings.

    \b
    Examples:
      ds2-fast rate pool.parquet --model openai/gpt-4o-mini --max-cost 10
      ds2-fast rate pool.parquet --model openai/gpt-4o-mini --budget 20% -n 10000
      ds2-fast rate pool.jsonl --model openai/gpt-4o-mini --model groq/llama -o r.parquet
      ds2-fast rate pool.jsonl --model hosted_vllm/llama --api-base http://127.0.0.1:8000/v1
    """
    asked: Mapping[str, Mapping[str, Any]] = gather_raters(model, raters, options)
    if not asked:
        raise click.UsageError("name the rating model with `--model`")
    from ds2_fast import stages
    from ds2_fast.cli.asking import asker, tell_plan
    from ds2_fast.cli.budget_options import confirmer

    if dry_run:
        tell_plan(pool, asked, pool_options=pool_options, run_dir=run_dir, budget=budget)
        return
    if budget is not None:
        if len(asked) > 1:
            raise click.UsageError("a budget is for one rater: name one `--model`")
        ((model_name, said),) = asked.items()
        stages.rate(
            list(pool),
            model_name,
            output=output,
            run_dir=run_dir,
            pool_options=pool_options,
            rating_options=said,
            ask=asker(quiet=quiet, yes=yes, told=True),
            budget=budget,
            n=n,
            embeddings=embeddings,
            embedder=embedder,
            space=space,
            seed=seed,
            threads=threads,
            offline=offline,
            confirm=confirmer(yes=yes, capped=said.get("max_cost") is not None),
            narrator=narrator(quiet=quiet),
        )
        return
    stages.rate_with(
        list(pool),
        asked,
        output=output,
        run_dir=run_dir,
        pool_options=pool_options,
        ask=asker(quiet=quiet, yes=yes),
        narrator=narrator(quiet=quiet),
    )
