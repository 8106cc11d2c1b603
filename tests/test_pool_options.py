"""The options of a pool on a command."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from ds2_fast.cli.pool_options import FORMATS, OPTION_NAMES, pool_options
from ds2_fast.pool import SCHEMAS, read_pool
from ds2_fast.pool.overrides import ColumnNames


@click.command()
@click.argument("pool")
@click.option("--other", default=1)
@pool_options
def shown(pool, other, pool_options):
    click.echo(json.dumps([pool, other, pool_options]))


def run(*args):
    return CliRunner().invoke(shown, args)


def test_only_what_was_said_is_passed_on():
    assert json.loads(run("p.jsonl").stdout) == ["p.jsonl", 1, {"split": "train"}]


def test_every_option():
    result = run(
        "p.jsonl", "--format", "alpaca", "--prompt-col", "a", "--prompt-col", "b",
        "--response-col", "c", "--system-col", "d", "--history-col", "e", "--messages-col", "f",
        "--text-col", "g", "--role-key", "h", "--content-key", "i", "--role-map", "j=user, k=tool",
        "--group-col", "l", "--id-col", "m", "--split", "n", "--dataset-info", "o", "--dataset",
        "q", "--other", "2",
    )  # fmt: skip
    _, other, said = json.loads(result.stdout)
    assert other == 2
    assert said == {
        "format": "alpaca", "prompt_col": ["a", "b"], "response_col": "c", "system_col": "d",
        "history_col": "e", "messages_col": ["f"], "text_col": "g", "role_key": "h",
        "content_key": "i", "role_map": {"j": "user", "k": "tool"}, "group_col": "l",
        "id_col": "m", "split": "n", "dataset_info": "o", "dataset": "q",
    }  # fmt: skip
    assert set(said) == set(OPTION_NAMES)
    assert set(OPTION_NAMES) == set(ColumnNames.__annotations__) | {
        "split", "dataset_info", "dataset",
    }  # fmt: skip


def test_the_options_reach_the_pool(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"chat": [{"who": "me", "what": "q"}]}\n')
    result = run(
        str(path), "--messages-col", "chat", "--role-key", "who", "--content-key", "what",
        "--role-map", "me=user",
    )  # fmt: skip
    _, _, said = json.loads(result.stdout)
    assert read_pool(path, **said).conversations() == [[("user", "q")]]


def test_the_formats_are_the_schemas():
    assert set(FORMATS) == set(SCHEMAS) - {"oasst"}


@pytest.mark.parametrize("value", ["user", "=user", "human=", "a=user,b"])
def test_a_role_map_of_another_form(value):
    result = run("p", "--role-map", value)
    assert result.exit_code == 2
    assert f"{value!r} is not of the form human=user,gpt=assistant" in result.stderr


def test_help_does_not_load_the_pool():
    code = (
        "import sys, ds2_fast.cli.pool_options; "
        "print([name for name in sys.modules if name.split('.')[0] == 'polars'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
