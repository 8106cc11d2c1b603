"""Help with the options in sections, one per stage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from ds2_fast.cli.pool_options import OPTION_NAMES as POOL
from ds2_fast.cli.rating_options import OPTION_NAMES as RATING

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Strategies": ("strategies", "settings", "seeds", "held_out", "run", "run_name", "page"),
    "Selection and output": (
        "n",
        "output",
        "add_columns",
        "to",
        "emit",
        "card",
        "atlas",
        "strategy",
        "curate",
        "keep_outliers",
        "dedup",
        "fill",
        "mix",
        "min_share",
        "strict",
        "html",
    ),
    "Scores and curation": (
        "score_col",
        "scale",
        "preset",
        "curation",
        "noise_share",
        "second_rater",
        "audit",
        "k",
    ),
    "Features and neighbors": ("embeddings", "embedder", "space", "knn", "recall"),
    "Language model": ("causal_lm", "template"),
    "Rating": ("model", "raters", "budget", *RATING, "dry_run", "yes"),
    "Reading the pool": POOL,
}


EVERYDAY = frozenset({
    "n", "output", "strategy", "to", "card", "dedup", "score_col", "scale", "preset", "audit",
    "embeddings", "embedder", "space", "model", "raters", "api_base", "budget", "max_cost",
    "dry_run", "yes", "format", "messages_col", "group_col",
    "run_dir", "seed", "offline", "quiet", "as_json",
    "strategies", "settings", "seeds", "held_out", "run", "run_name", "page",
})  # fmt: skip
"""Options that `--help` lists where there are many."""

MANY = 40
"""Options of which `--help` lists a part."""

WIDEST = 100


OF_STRATEGIES = "Options of strategies"


class StrategyOption(click.Option):
    """An option that some strategies have."""


class SectionedCommand(click.Command):
    """A command whose help lists its options by stage; what has no stage comes last.

    A command of many options lists those of every day under `--help`, and all under `--help-all`.
    """

    sections: ClassVar[Mapping[str, tuple[str, ...]]] = SECTIONS

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.context_settings.setdefault("max_content_width", WIDEST)
        if len(self.params) > MANY:
            everything = click.Option(
                ["--help-all"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_all,
                help="List all options.",
            )
            self.params.append(everything)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per stage."""
        left = {
            param.name: param for param in self.get_params(ctx) if isinstance(param, click.Option)
        }
        is_short = len(self.params) > MANY and not ctx.meta.get(_ALL)
        hidden = 0
        of_strategies = tuple(
            name for name, param in left.items() if isinstance(param, StrategyOption)
        )
        for title, names in (*self.sections.items(), (OF_STRATEGIES, of_strategies), ("Run", None)):
            wanted = tuple(left) if names is None else names
            chosen = [left.pop(name) for name in wanted if name in left]
            if is_short:
                everyday = [param for param in chosen if param.name in {*EVERYDAY, *_HELP}]
                hidden += len(chosen) - len(everyday)
                chosen = everyday
            rows = [row for param in chosen if (row := param.get_help_record(ctx)) is not None]
            if is_short:
                rows = [(name, _brief(text)) for name, text in rows]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=_COLUMN)
        if hidden:
            formatter.write(f"\n{hidden} more options: {ctx.command_path} --help-all\n")


_ALL = f"{__name__}.all"
_HELP = frozenset({"help", "help_all", "config_file"})
_COLUMN = 32
_ROOM = 58


def _brief(text: str) -> str:
    """Keep the first sentence, and the default where there is room."""
    said, _, extra = text.partition("  [")
    first = re.split(r"[;.:] ", said, maxsplit=1)[0].rstrip(".") + "."
    return f"{first}  [{extra}" if extra and len(first) + len(extra) < _ROOM else first


def _print_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()
