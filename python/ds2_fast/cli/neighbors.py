"""`ds2-fast neighbors`: query the pool of a run, and add samples to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.cli.options import narrator
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from rich.table import Table

    from ds2_fast.pool_index import Match, PoolIndex

_WIDTH = 160
_NARROWEST = 30  # columns that a text gets at least


@click.command(cls=SectionedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--text", metavar="TEXT", help="Ask by a text, in the run's space.")
@click.option("--row", type=click.IntRange(min=0), help="Ask by a sample's row, from 0.")
@click.option("--id", "id_", metavar="ID", help="Ask by a sample's id.")
@click.option(
    "-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="Samples to show."
)
@click.option(
    "--index",
    is_flag=True,
    help="Ask the run's usearch index, and build it if it is not there. Without it every sample "
    "is compared: exact, and quick for one query.",
)
@click.option(
    "--add",
    metavar="FILE",
    multiple=True,
    help="Add the samples of this pool first; queries find them too. Repeat it for several.",
)
@click.option(
    "--model",
    metavar="NAME|DIR",
    help="Model that made the embeddings, where the run was given them.  [default: the run's]",
)
@pool_options
@click.option("--threads", type=click.IntRange(min=1), help="Threads at most.  [default: all]")
@click.option("--offline", is_flag=True, help="Open no socket.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON on stdout.")
def neighbors(
    run: Path,
    text: str | None,
    row: int | None,
    id_: str | None,
    k: int,
    index: bool,
    add: tuple[str, ...],
    model: str | None,
    pool_options: Mapping[str, Any],
    threads: int | None,
    offline: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find the samples most like a text or a sample, in the run in the folder RUN.

    \b
    Examples:
      ds2-fast neighbors pool.ds2 --text "Write a haiku about rain"
      ds2-fast neighbors pool.ds2 --row 17 -k 20 --json
      ds2-fast neighbors pool.ds2 --add more.parquet
    """
    from ds2_fast.pool_index import PoolIndex

    query: dict[str, Any] = {"text": text, "row": row, "id": id_}
    given = {name: value for name, value in query.items() if value is not None}
    if len(given) > 1:
        raise click.UsageError(f"give one of {' and '.join(f'--{name}' for name in given)}")
    if not given and not add and not index:
        raise click.UsageError("say what to look for: --text, --row or --id; or --add, or --index")
    opened = PoolIndex.open(
        run, model=model, offline=offline, threads=threads, narrator=narrator(quiet=quiet)
    )
    told: dict[str, Any] = {}
    for name in add:
        told.setdefault("added", []).append(_add(opened, name, pool_options, quiet=quiet))
    if not given:
        if index:
            told["index"] = opened.build()
        if as_json:
            click.echo(json.dumps(told))
        return
    found = opened.search(**given, k=k, method="index" if index else "exact")
    matches = opened.matches(found)
    if as_json:
        listed = [match.to_dict() for match in matches]
        click.echo(json.dumps({**told, "query": given, "method": found.method, "matches": listed}))
    else:
        _print(matches)


def _add(
    opened: PoolIndex, name: str, pool_options: Mapping[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Add the samples of one file; read as the run's own pool was, unless said otherwise."""
    from ds2_fast.pool import read_pool
    from ds2_fast.rundir import read_manifest

    recorded = read_manifest(opened.run)["pool"]["options"]
    pool = read_pool(name, **(pool_options or recorded))
    ids = None if pool.ids is None else pool.ids.to_list()
    rows = opened.add(ids=ids, texts=pool.texts(), source=name)
    narrator(quiet=quiet).done(
        "added", f"{len(rows):,} samples of {name}, rows {rows[0]:,} to {rows[-1]:,}"
    )
    return {"source": name, "rows": [rows[0], rows[-1]]}


def _print(matches: list[Match]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    width = console.width if console.is_terminal else _WIDTH
    # A line may run over the edge of the terminal: rich would cut its numbers.
    console.width = max(console.width, _WIDTH)
    console.print(_table(matches, width))


def _table(matches: list[Match], width: int) -> Table:
    """Lay out what was found; texts get what the other columns leave of the width."""
    from rich.table import Table
    from rich.text import Text

    from ds2_fast.terminal import printable

    columns: dict[str, list[str]] = {
        "rank": [str(match.rank) for match in matches],
        "row": [str(match.row) for match in matches],
        "id": [printable(match.id or "") for match in matches],
        "similarity": [f"{match.similarity:.4f}" for match in matches],
        "score": [_number(match.score) for match in matches],
        "curated": [_number(match.score_curated) for match in matches],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    taken = sum(2 + max(map(len, (name, *cells))) for name, cells in shown.items())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in shown:
        table.add_column(name, justify="left" if name == "id" else "right", no_wrap=True)
    table.add_column("text", no_wrap=True)
    for place, match in enumerate(matches):
        words = " ".join(("(added) " * match.added + (match.text or "")).split())
        text = Text(printable(words))
        text.truncate(max(_NARROWEST, width - taken), overflow="ellipsis")
        table.add_row(*(Text(cells[place]) for cells in shown.values()), text)
    return table


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
