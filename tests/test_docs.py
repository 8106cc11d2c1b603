"""Every command and code block of the documentation runs, page by page, without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import polars as pl
import pytest

from docs_blocks import (
    COMPILED,
    DIRECTIVES,
    PAGES,
    ROOT,
    RUN,
    blocks_of,
    first_line_missing,
    name_of,
    run,
)
from ds2_fast.cli import cli
from rating_server import RatingServer

BIN = Path(sys.executable).parent
SAMPLE_POOL = ROOT / "examples" / "sample_pool.parquet"

# What the guides take for given, made before their first block. Tutorials make what they need.
GIVEN = {
    "README.md": "",
    "docs/bakeoff.md": """
        printf '#!/bin/sh\\nwc -l < "$1"\\n' > train_and_eval.sh
        chmod +x train_and_eval.sh
        """,
    "docs/checking.md": "ds2-fast select pool.parquet -n 5% -o subset.parquet",
    "docs/looking.md": """
        ds2-fast select pool.parquet -n 5% -o subset.parquet --embedder all-MiniLM-L6-v2
        cp -r pool.ds2 first.ds2
        ds2-fast select pool.parquet -n 7% --embedder all-MiniLM-L6-v2 --run-dir second.ds2
        """,
    "docs/raters.md": "",
    "docs/rating.md": "",
    "docs/selection.md": "",
    "docs/strategies.md": "",
}
NO_PAGE = {"DS2_FAST_HTML": "false"}
LEXICAL = {"DS2_FAST_SPACE": "lexical", **NO_PAGE}
ENVIRONMENT = {
    "README.md": NO_PAGE,
    "docs/looking.md": NO_PAGE,
    **{
        f"docs/{name}.md": LEXICAL
        for name in ("bakeoff", "checking", "raters", "rating", "selection", "strategies")
    },
}
# Pages whose server is named by variables of ours; on the others litellm finds it by its own.
OWN_SERVER = {
    "docs/rating.md": {"DS2_FAST_TRANSPORT": "direct"},
    "docs/tutorials/rate.md": {},
}
NEEDS_MODEL = {"README.md", "docs/looking.md"}
# Every block that is not run, by its page and its first words, and why.
NOT_RUN = {
    ("README.md", "make demo #"): "both set everything up by themselves; CI runs the second",
    ("README.md", "pip install ."): "installs into the reader's environment",
    ("README.md", "ds2-fast model import"): (
        "fetches from the hub; the tests of the command have a hub of their own"
    ),
    ("README.md", "embedding-atlas atlas.parquet --x"): "another project's program",
    ("docs/first-hour.md", "python3 -m venv"): (
        "installs into the reader's environment; CI builds and tests the wheel"
    ),
    ("docs/rating.md", "ds2-fast losses pool.parquet"): (
        "needs a causal language model, which is not shipped; the tests of the command make one"
    ),
    ("docs/raters.md", "ds2-fast audit check"): (
        "a person scores the file in between; tutorials/audit.md runs both"
    ),
    ("docs/rating.md", "ds2-fast rate batch-import"): (
        "reads what a provider's batch service made of those files"
    ),
    ("docs/strategies.md", "ds2-fast select pool.parquet"): (
        "installs into the reader's environment; tests of the strategies install this package"
    ),
    ("docs/tutorials/presets.md", "ds2-fast select pool.jsonl"): (
        "needs the paper's pool, which is not ours to ship"
    ),
    ("docs/tutorials/rate.md", "export DS2_FAST_API_BASE=http://127.0.0.1:8000/v1"): (
        "the tests set this variable to the address of a server of their own"
    ),
}
FOREIGN = (
    "python ",
    "optimum-cli ",
    "pip ",
    "make ",
    "embedding-atlas ",
    "rate ",
    "llama-server ",
    "vllm ",
)
"""How code in the text begins whose options are not ours, or is broken by the end of a line."""
RATERS = ("gpt", "llama", "mistral")
RUNNABLE = [
    page
    for page in PAGES
    if any(block.language in RUN and not block.is_left_out for block in blocks_of(page))
]


def test_every_block_is_run_or_says_why_not():
    left_out = {}
    for page in PAGES:
        for block in blocks_of(page):
            first = " ".join(block.text.split()[:3])
            if block.is_left_out:
                assert block.language in RUN, f"{block.place}: `not run` before what never runs"
                left_out[block.page, first] = block.said
            elif block.mark != "written to":
                known = (*RUN, *COMPILED, *DIRECTIVES, "text")
                assert block.language in known, f"{block.place}: nothing runs `{block.language}`"
    assert left_out == NOT_RUN


def test_rust_blocks_are_documentation_tests():
    library = (ROOT / "rust" / "ds2-core" / "src" / "lib.rs").read_text("utf-8")
    for page in PAGES:
        if any(block.language in COMPILED for block in blocks_of(page)):
            assert f'include_str!("../../../{name_of(page)}")' in library, name_of(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_named_in_the_text_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    for span in re.findall(r"`([^`]+)`", text):
        named = re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", span)
        if not span.startswith(FOREIGN):
            assert set(named) <= OPTIONS, f"{name_of(page)}: `{span}`"
        words = span.split()
        if words[0] == "ds2-fast" and len(words) > 1:
            assert words[1] in {*cli.list_commands(click.Context(cli)), "COMMAND"}, span


def every_option() -> set[str]:
    """The options of all commands."""
    found = {"--help", "--help-all", "--version"}
    waiting = [cli]
    while waiting:
        command = waiting.pop()
        context = click.Context(command)
        for param in command.params:
            found.update(name for name in (*param.opts, *param.secondary_opts))
        if isinstance(command, click.Group):
            waiting += [
                command.get_command(context, name) for name in command.list_commands(context)
            ]
    from ds2_fast.cli import rate_run

    waiting = [item for item in vars(rate_run).values() if isinstance(item, click.Command)]
    return found.union(*(param.opts for command in waiting for param in command.params))


OPTIONS = every_option()


@pytest.fixture(scope="module")
def server():
    with RatingServer(latency=0.001) as running:
        yield running


@pytest.fixture(scope="module")
def model_cache(tmp_path_factory):
    """A cache of models; all-MiniLM-L6-v2 is put into it once, where a page needs it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def environment(tmp_path, server, model_cache, request):
    """What a reader's shell would have: the program, a key, and here no way out of the machine."""
    page = name_of(request.getfixturevalue("page"))
    own = {"DS2_FAST_API_BASE": server.base, **OWN_SERVER[page]} if page in OWN_SERVER else {}
    return {
        **own,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path.parent),
        "COLUMNS": "100",
        "LANG": "C.UTF-8",
        "DS2_FAST_CACHE": str(model_cache),
        "OPENAI_API_KEY": "none",
        "OPENAI_API_BASE": server.base,
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="module")
def minilm(minilm_dir, model_cache):
    """all-MiniLM-L6-v2 in the cache under the name that is the default."""
    command = ["model", "import", str(minilm_dir), "--name", "all-MiniLM-L6-v2"]
    environment = {**os.environ, "DS2_FAST_CACHE": str(model_cache)}
    subprocess.run([BIN / "ds2-fast", *command], env=environment, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path, environment):
    """A folder in which a page begins: beside the `examples` of the clone."""
    shutil.copytree(
        ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.ds2")
    )
    return tmp_path


def make_pools(folder, samples):
    """The pools that the guides name: small, of the sample pool."""
    frame = pl.read_parquet(SAMPLE_POOL).drop("truth").head(samples)
    noise = np.random.default_rng(5).integers(-1, 2, (3, len(frame)))
    rating = frame["rating"].to_numpy()
    raters = {
        name: np.clip(rating + moved, 0, 5) for name, moved in zip(RATERS, noise, strict=True)
    }
    source = np.array(["web", "books", "forum"])[np.arange(len(frame)) % 3]
    frame.with_columns(**raters, source=source).write_parquet(folder / "pool.parquet")
    frame.drop("rating").head(60).write_ndjson(folder / "pool.jsonl")
    more = frame.tail(10).with_columns(id="new-" + pl.col("id"))
    more.write_parquet(folder / "more.parquet")
    rows = np.random.default_rng(1).standard_normal((len(frame), 16), np.float32)
    np.save(folder / "rows.npy", rows)
    large = pl.read_parquet(SAMPLE_POOL).drop("truth").head(1000)
    large.write_parquet(folder / "rated.parquet")
    large.drop("rating").write_parquet(folder / "large.parquet")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_blocks_of_a_page_run_one_after_another(page, folder, environment, request):
    name = name_of(page)
    if name in NEEDS_MODEL:
        request.getfixturevalue("minilm")
    environment |= ENVIRONMENT.get(name, {})
    if name in GIVEN:
        make_pools(folder, 150 if name in NEEDS_MODEL else 520)
        subprocess.run(["bash", "-ec", GIVEN[name]], cwd=folder, env=environment, check=True)
    printed = ""
    for block in blocks_of(page):
        if block.mark == "written to":
            (folder / block.said).write_text(block.text + "\n", "utf-8")
            if block.language == "toml":
                tomllib.loads(block.text)
        elif block.language in RUN and not block.is_left_out:
            printed = run(block, folder, environment)
        elif block.language == "text":
            missing = first_line_missing(block.text, printed)
            assert missing is None, f"{block.place}: not printed: {missing}\n\n{printed}"
