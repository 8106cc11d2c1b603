"""Options from flags, the environment and a file, in this order; completion; what is said."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import polars as pl
import pytest

from ds2_fast.cli import COMMANDS, cli, main
from ds2_fast.cli.sections import EVERYDAY
from ds2_fast.cli.settings import commands_below, options_of
from ds2_fast.terminal import TerminalNarrator

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DS2_FAST_")]:
        monkeypatch.delenv(name)
    return tmp_path


def shown(capsys, *flags, command="select"):
    assert main(["config", "--show", "--json", command, *flags]) == 0
    return json.loads(capsys.readouterr().out)


def write(text, name="ds2-fast.toml"):
    Path(name).write_text(text, "utf-8")


def test_a_flag_comes_before_the_environment_that_before_the_file(folder, capsys, monkeypatch):
    assert shown(capsys)["seed"] == {"value": 42, "from": "default"}
    write("seed = 7\n[select]\nseed = 8\n[curate]\nseed = 9\n")
    assert shown(capsys)["seed"] == {"value": 8, "from": "ds2-fast.toml"}
    assert shown(capsys, command="curate")["seed"]["value"] == 9
    assert shown(capsys, command="embed")["seed"]["value"] == 7
    monkeypatch.setenv("DS2_FAST_SEED", "10")
    assert shown(capsys)["seed"] == {"value": 10, "from": "DS2_FAST_SEED"}
    assert shown(capsys, "--seed", "11")["seed"] == {"value": 11, "from": "flag"}


def test_values_take_the_form_of_the_flag(folder, capsys):
    write(
        "[select]\nn = [10, '5%']\nmix = {web = 0.5, books = 0.25}\nscore-col = 'rating'\n"
        "keep_outliers = true\nhtml = false\n"
    )
    found = shown(capsys)
    assert found["n"]["value"] == "10,5%"
    assert found["mix"]["value"] == {"web": 0.5, "books": 0.25}
    assert found["score-col"]["value"] == ["rating"]
    assert found["keep-outliers"]["value"] is True
    assert found["html"]["value"] is False
    write(json.dumps({"select": {"n": 3}}), "other.json")
    assert shown(capsys, "--config", "other.json")["n"] == {"value": "3", "from": "other.json"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "spaze = 1\n",
            "`ds2-fast.toml` sets `spaze`, which is no option\n\nhint: did you mean `space`?",
        ),
        ("[select]\nrun = 1\n", "sets `run`, which is no option"),
        (
            "[select]\nseed = 'many'\n",
            "error: invalid value for `--seed`: `many` is not a valid integer",
        ),
        ("seed = \n", "`ds2-fast.toml` cannot be read"),
        ("api-base = 'http://elsewhere'\n", "--config ds2-fast.toml"),
        ("yes = true\n", "sets `yes`, which a file may only do if it is named"),
    ],
)
def test_a_wrong_file_is_said(folder, capsys, text, said):
    write(text)
    assert main(["select", "pool.parquet", "-n", "3"]) == 2
    assert said in capsys.readouterr().err


def test_a_named_file_may_set_everything(folder, capsys):
    write("api-base = 'http://elsewhere'\n", "mine.toml")
    found = shown(capsys, "--config", "mine.toml")
    assert found["api-base"] == {"value": "http://elsewhere", "from": "mine.toml"}
    assert main(["select", "p.parquet", "-n", "3", "--config", "missing.toml"]) == 2
    assert "cannot read `missing.toml`" in capsys.readouterr().err


def test_commands_on_a_run_take_the_file_and_the_environment(folder, capsys, monkeypatch):
    write(
        "seed = 7\noutput = 'all.parquet'\n[rate]\nrpm = 60\n[rate.export]\nwith-pool = true\n"
        "[rate.import]\nscale = '1-10'\n"
    )
    found = shown(capsys, "export", command="rate")
    assert found["with-pool"] == {"value": True, "from": "ds2-fast.toml"}
    assert found["output"] == {"value": "all.parquet", "from": "ds2-fast.toml"}
    assert shown(capsys, command="rate")["rpm"] == {"value": 60, "from": "ds2-fast.toml"}
    monkeypatch.setenv("DS2_FAST_SCALE", "0-5")
    monkeypatch.setenv("DS2_FAST_COLUMN", "score")
    found = shown(capsys, "import", command="rate")
    assert found["scale"] == {"value": "0-5", "from": "DS2_FAST_SCALE"}
    assert found["column"]["value"] == "score"
    pl.DataFrame({"prompt": ["a", "b"], "response": ["c", "d"], "score": [1, 4]}).write_parquet(
        "mine.parquet"
    )
    assert main(["rate", "import", "mine.parquet"]) == 0
    assert pl.read_parquet("all.parquet")["rating_score"].to_list() == [1, 4]
    for name in ("status", "reparse", "batch-export", "batch-import"):
        assert "--config" in cli.get_command(click.Context(cli), "rate").commands[name].get_help(
            click.Context(cli)
        )
    write("[rate.import]\nscail = '0-5'\n")
    assert main(["rate", "import", "mine.parquet"]) == 2
    assert "hint: did you mean `scale`?" in capsys.readouterr().err


def test_the_manifest_holds_the_outcome_without_values_of_params(folder, capsys, monkeypatch):
    pl.read_parquet(POOL).head(300).write_parquet("pool.parquet")
    write("[select]\nspace = 'lexical'\n")
    monkeypatch.setenv("DS2_FAST_SCORE_COL", "rating")
    flags = ["-n", "10", "--no-html", "--param", "api_key=secret-1"]
    assert main(["select", "pool.parquet", *flags]) == 0
    said = capsys.readouterr().err
    assert "config      score-col from DS2_FAST_SCORE_COL; space from ds2-fast.toml\n" in said
    text = Path("pool.ds2/manifest.json").read_text("utf-8")
    assert "secret-1" not in text
    assert json.loads(text)["config"] == {
        "n": {"value": "10", "from": "flag"},
        "html": {"value": False, "from": "flag"},
        "score-col": {"value": ["rating"], "from": "DS2_FAST_SCORE_COL"},
        "space": {"value": "lexical", "from": "ds2-fast.toml"},
        "param": {"value": ["api_key"], "from": "flag"},
    }


def test_every_option_has_one_variable_and_no_two_share_one(folder):
    ctx = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(ctx, name)
        if name in {"config", "completion"}:
            continue
        for each in (command, *commands_below(command).values()):
            keys = [key for key, _ in options_of(each)]
            assert len(keys) == len(set(keys))
            for key, option in options_of(each):
                assert option.envvar == "DS2_FAST_" + key.replace("-", "_").upper()
    # The program has variables of its own, which must stay free.
    taken = {"data", "chromium", "kernel", "minilm", "trainers", "write-snapshots"}
    assert not taken & {key for key, _ in options_of(cli.get_command(ctx, "select"))}


def test_completion_knows_commands_and_options():
    for shell, words, index in (("bash", "ds2-fast sel", 1), ("bash", "ds2-fast select --dry", 2)):
        done = subprocess.run(
            [sys.executable, "-c", "from ds2_fast.cli import entry_point; entry_point()"],
            env={**os.environ, "_DS2_FAST_COMPLETE": f"{shell}_complete", "COMP_WORDS": words,
                 "COMP_CWORD": str(index)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split(",")[1].split()[0] in {"select", "--dry-run"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_the_shell_reads(capsys, shell):
    assert main(["completion", shell]) == 0
    assert "_DS2_FAST_COMPLETE" in capsys.readouterr().out


def test_help_fits_a_screen_and_names_the_rest(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["select", "--help"]) == 0
    short = capsys.readouterr().out
    assert short.count("\n") <= 58
    assert max(map(len, short.splitlines())) <= 100
    assert main(["select", "--help-all"]) == 0
    full = capsys.readouterr().out
    for _, option in options_of(cli.get_command(click.Context(cli), "select")):
        assert max(option.opts, key=len) in full
        assert (f" {max(option.opts, key=len)} " in short) <= (option.name in EVERYDAY)


def test_a_misspelled_model_is_answered_with_the_nearest(folder, capsys, monkeypatch):
    monkeypatch.setenv("DS2_FAST_CACHE", str(folder / "cache"))
    pl.read_parquet(POOL).head(300).write_parquet("pool.parquet")
    flags = ("-n", "10", "--score-col", "rating", "--embedder", "lexcal", "--offline")
    assert main(["select", "pool.parquet", *flags]) == 3
    said = capsys.readouterr().err
    assert "there is no embedding model `lexcal`" in said
    assert "hint: did you mean `lexical`? or give a model's folder" in said


def test_quiet_and_verbose_do_not_go_together(capsys, tmp_path):
    assert main(["curate", "p.parquet", "-q", "-v"]) == 2
    assert "do not go together" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("no_color", "painted"), [("1", False), ("", True)])
def test_color_is_only_where_it_belongs(monkeypatch, no_color, painted):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    TerminalNarrator().warn("look")
    assert ("\x1b[33m" in terminal.getvalue()) is painted
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    TerminalNarrator().warn("look")
    assert pipe.getvalue() == "! look\n"
