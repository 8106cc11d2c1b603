"""Help with the options in sections, one per stage."""

from __future__ import annotations

from collections.abc import Mapping

import click

from ds2_fast.cli.pool_options import OPTION_NAMES as POOL
from ds2_fast.cli.rating_options import OPTION_NAMES as RATING

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Selection and output": (
        "n",
        "output",
        "add_columns",
        "to",
        "emit",
        "card",
        "atlas",
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
    "Rating": ("model", "raters", "budget", *RATING, "dry_run", "yes"),
    "Reading the pool": POOL,
}


class SectionedCommand(click.Command):
    """A command whose help lists its options by stage; what has no stage comes last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per stage."""
        left = {
            param.name: param for param in self.get_params(ctx) if isinstance(param, click.Option)
        }
        for title, names in (*SECTIONS.items(), ("Run", None)):
            chosen = [left.pop(name) for name in (names or tuple(left)) if name in left]
            rows = [row for param in chosen if (row := param.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
