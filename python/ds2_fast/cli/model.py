"""`ds2-fast model`: the embedding models in the cache."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.errors import ModelError

if TYPE_CHECKING:
    from ds2_fast.embedding.store import CachedModel

_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_MEGABYTE = 1_000_000

onnx_file_option = click.option(
    "--onnx-file",
    metavar="FILE",
    help="Use this ONNX file, a path inside the model's folder, for example a quantized one.",
)
replace_option = click.option("--replace", is_flag=True, help="Replace a model of that name.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def model() -> None:
    """Import, fetch and list embedding models.

    A model is a folder in the layout of sentence-transformers. `import` and `fetch` check it and
    keep what embedding needs in the cache, under a name that every command takes. The cache is
    $DS2_FAST_CACHE, or the cache folder of the system.

    \b
    ds2-fast model fetch all-MiniLM-L6-v2
    ds2-fast model import ./my-finetuned-bge --name my-bge
    """


@model.command(name="import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", help="Name in the cache; default: the folder's.")
@onnx_file_option
@replace_option
def import_(folder: Path, name: str | None, onnx_file: str | None, *, replace: bool) -> None:
    """Check the model in FOLDER and copy it into the cache.

    A BERT with model.safetensors and no ONNX file is exported, which needs the package `onnx`:
    pip install "ds2-fast[export]".
    """
    from ds2_fast.embedding.importing import import_model
    from ds2_fast.embedding.store import ModelStore

    name = name or folder.resolve().name
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            f"`{name}` is not a name: letters, digits, `.`, `_`, `-`, one `/`", param_hint="--name"
        )
    store = ModelStore()
    if not replace and store.find(name):
        raise ModelError(f"there is a model `{name}` in the cache already", hint="add --replace")
    source = {"folder": str(folder.resolve())}
    _tell(
        import_model(
            folder,
            name,
            store=store,
            source=source,
            network=onnx_file,
            named=onnx_file is not None,
            replace=replace,
        )
    )


@model.command()
@click.argument("name")
@onnx_file_option
@click.option("--offline", is_flag=True, help="Take it from huggingface_hub's own cache.")
@replace_option
def fetch(name: str, onnx_file: str | None, *, offline: bool, replace: bool) -> None:
    """Fetch the model NAME of the Hugging Face hub into the cache.

    NAME is owner/name or owner/name@revision. Without a revision the newest commit is looked up
    once; the cache records it and the checksums of all files.
    """
    from ds2_fast.embedding.hub import fetch_model
    from ds2_fast.embedding.resolving import cache_entry
    from ds2_fast.embedding.store import ModelStore

    store = ModelStore()
    entry = cache_entry(name, onnx_file)
    found = None if replace else store.find(entry)
    if found is None:
        found = fetch_model(
            name,
            store=store,
            cached_as=entry,
            onnx_file=onnx_file,
            offline=offline,
            replace=replace,
            progress=_draw_bytes,
        )
    _tell(found)


@model.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the models in the cache."""
    from ds2_fast.embedding.store import ModelStore

    models = list(ModelStore().models())
    if as_json:
        click.echo(json.dumps([_describe(entry) for entry in models], indent=1))
        return
    width = max((len(entry.name) for entry in models), default=0)
    for entry in models:
        click.echo(f"{entry.name:<{width}}  {_summarize(entry)}  {_origin(entry)}")


@model.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show where the model NAME came from and what decides its vectors."""
    from ds2_fast.embedding.store import ModelStore

    description = _describe(ModelStore().get(name))
    if as_json:
        click.echo(json.dumps(description, indent=1))
        return
    for key, value in description.items():
        if not isinstance(value, dict):
            click.echo(f"{key:<11} {value}")
            continue
        for place, (part, content) in enumerate(value.items()):
            click.echo(f"{'' if place else key:<11} {part}  {content}")


@model.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Remove models from the cache."""
    from ds2_fast.embedding.store import ModelStore

    store = ModelStore()
    for name in names:
        store.remove(name)
        click.echo(f"removed {name}", err=True)


def _tell(entry: CachedModel) -> None:
    """Say what is in the cache now: a line for the reader, the folder for a script."""
    click.echo(f"{entry.name}  {_summarize(entry)}", err=True)
    click.echo(entry.path)


def _summarize(entry: CachedModel) -> str:
    return f"{entry.dim} columns  {entry.max_length} tokens  {entry.size / _MEGABYTE:.1f} MB"


def _origin(entry: CachedModel) -> str:
    source = entry.source
    if "repository" in source:
        return f"{source['repository']}@{source['revision'][:12]}"
    return source.get("folder", "")


def _describe(entry: CachedModel) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "source": dict(entry.source),
        "onnx": entry.onnx,
        "columns": entry.dim,
        "tokens": entry.max_length,
        "bytes": entry.size,
        "sha256": dict(entry.files),
    }


def _draw_bytes(done: int, total: int) -> None:
    """Draw the progress of a download on a terminal; elsewhere draw nothing."""
    if not sys.stderr.isatty():
        return
    text = f"fetch  {done / max(total, 1):4.0%}  {done / _MEGABYTE:.1f}/{total / _MEGABYTE:.1f} MB"
    click.echo(f"\r{text}", nl=done >= total, err=True)
