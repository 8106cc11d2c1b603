"""The command `rate`: plan, questions, progress, files."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import click
import polars as pl
import pytest
from click.testing import CliRunner

from ds2_fast.cli.asking import _PlainLine, asker, progress_text
from ds2_fast.cli.rate import rate as command
from ds2_fast.cli.rating_options import rate_options
from ds2_fast.errors import RatingError
from ds2_fast.rating import patience, plan_rating, rate
from ds2_fast.rating.progress import RatingProgress
from rating_server import RatingServer


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pool.jsonl"
    rows = [{"instruction": f"q{i}", "input": "", "output": "a " * 50} for i in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def invoke(*arguments, **settings):
    return CliRunner().invoke(command, [str(a) for a in arguments], **settings)


def test_it_rates_a_pool_into_a_file(pool, tmp_path):
    with RatingServer() as server:
        result = invoke(pool, "--model", "openai/m", "--api-base", server.base)
        assert result.exit_code == 0, result.output
        assert server.requests == 20
        assert result.stdout == ""
        assert re.search(r"rated 20 samples with openai/m, \$0.00", result.stderr)
        assert "20 rows, 20 to rate" in result.stderr
        frame = pl.read_parquet(tmp_path / "pool.ds2" / "ratings.parquet")
        assert len(frame) == 20
        assert frame["status"].unique().to_list() == ["ok"]
        again = invoke(
            pool, "--model", "openai/m", "--api-base", server.base, "-q", "-o", "x.parquet"
        )
        assert (again.stdout, again.stderr) == ("", "")
        assert server.requests == 20
    written = pl.read_parquet(tmp_path / "x.parquet")
    assert written.columns == [
        "rating_m", "rating_m_ev", "rating_m_p", "rating_m_raw_rarity", "rating_m_raw_complexity",
        "rating_m_raw_informativeness", "rating_m_raw_overall", "rating_m_why", "rating_m_key",
        "truncated", "flag_inject",
    ]  # fmt: skip
    assert written["rating_m"].to_list() == frame["score"].to_list()
    assert written["rating_m_why"].null_count() == 20
    about = json.loads(pl.read_parquet_metadata(tmp_path / "x.parquet")["ds2_fast"])
    assert about["m"]["prompt"]["name"] == "ds2-fast-v1"


def test_it_asks_before_it_spends(pool):
    dear = ("--model", "nobody/m", "--price-in", 1000, "--price-out", 1000)
    refused = invoke(pool, *dear)
    assert refused.exit_code == 2
    assert "--yes or --max-cost" in refused.output and "about $8.68" in refused.output
    unknown = invoke(pool, "--model", "nobody/m")
    assert unknown.exit_code == 2 and "an unknown sum" in unknown.output
    plan = invoke(pool, *dear, "--dry-run", "--rpm", 10)
    assert plan.exit_code == 0 and "2.0 minutes at 10 requests a minute" in plan.stdout
    assert not Path("pool.ds2").exists(), "a plan, a refusal and a question leave nothing"


def test_on_a_terminal_no_means_no(tmp_path, monkeypatch):
    asked = []

    def decline(text, **_):
        asked.append(text)
        raise click.Abort

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click, "confirm", decline)
    sample = [[("user", "x" * 5000)]]
    options = {"model": "nobody/m", "price_in": 1e4, "price_out": 1e4}
    cost = plan_rating(sample, **options).cost
    with pytest.raises(click.Abort):
        asker()(sample, **options, journal_path=tmp_path / "ratings.jsonl")
    assert asked == [f"Spend about ${cost:,.2f}?"]
    assert not list(tmp_path.iterdir())


def test_a_dry_run_loads_no_client_and_opens_no_socket(pool):
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from ds2_fast.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "print(code, sorted({'litellm', 'openai', 'httpx', 'aiohttp'} & set(sys.modules)))\n"
    )
    plan = ["rate", pool, "--model", "gpt-4o-mini", "--dry-run", "--rpm", "10", "--tpm", "1e4"]
    done = subprocess.run(
        [sys.executable, "-c", code, *plan], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("0 []\n"), done.stdout
    assert "counted with o200k_base" in done.stdout and "batch    about $0.00" in done.stdout
    assert "at 10 requests a minute and 10,000 tokens a minute" in done.stdout


def test_the_probe_is_told(pool):
    with RatingServer(
        answer='{"Rarity":1,"Complexity":1,"Informativeness":1,"Overall":1}'
    ) as server:
        arguments = ("--model", "openai/m", "--api-base", server.base, "--injection-probe", 5)
        told = invoke(pool, *arguments).stderr
    assert "lifts it by +0.00 (± 0.00) on the mean, on 0% of 5 samples" in told


KEY = "sk-never-to-be-seen-0123456789"


@pytest.mark.parametrize("transport", ["direct", "litellm"])
@pytest.mark.parametrize("kind", ["401", "400", "500", "quota", "ok"])
def test_a_key_is_in_no_file_and_no_output(pool, tmp_path, monkeypatch, kind, transport):
    monkeypatch.setenv("MY_OWN", KEY)
    monkeypatch.setattr(patience, "LONGEST_JITTER", 0.01)
    answer = '{"Rarity": 1, "Complexity": 1, "Informativeness": 1, "Overall": 1}'
    with RatingServer(always=kind, echo_key=True, answer=answer) as server:
        arguments = ("--model", "openai/m", "--api-base", server.base, "--api-key-env", "MY_OWN")
        result = invoke(pool, *arguments, "--run-dir", "run", "--transport", transport)
        assert server.ledger[0].authorization == f"Bearer {KEY}"
    trace = "".join(traceback.format_exception(result.exception)) if result.exception else ""
    if kind != "ok":
        assert "[hidden]" in trace, "the refusal did repeat the key"
        assert "\x1b" not in trace
    said = [(result.output + trace).encode()]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"ratings.jsonl", "ratings.jsonl.lock"} <= {path.name for path in files}
    for text in [*said, *(path.read_bytes() for path in files)]:
        assert KEY[:12].encode() not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name the rating model with `--model`"),
        (("--max-null", "7"), "write 5% or 0.05"),
        (("--give-up", "soon"), "write 90s, 15m or 2h"),
        (("--temperature", "hot"), "neither a number nor"),
        (("--param", "x"), "is not NAME=VALUE"),
    ],
)
def test_bad_flags_are_usage_errors(pool, arguments, says):
    result = invoke(pool, *arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_flags_arrive_under_the_names_of_the_function():
    seen = {}

    @click.command()
    @rate_options
    def probe(**options):
        seen.update(options)

    flags = ["--temperature", "none", "--max-null", "7%", "--give-up", "2m", "--no-raw",
             "--param", "top_p=0.5", "--param", "stop=end"]  # fmt: skip
    assert CliRunner().invoke(probe, flags).exit_code == 0
    signature = inspect.signature(rate).parameters
    assert set(seen) - set(signature) == {"dry_run", "yes"}
    assert seen["temperature"] is None and seen["max_null"] == 0.07 and seen["give_up"] == 120
    assert seen["keep_raw"] is False and seen["params"] == {"top_p": 0.5, "stop": "end"}
    assert CliRunner().invoke(probe, []).exit_code == 0
    for name, value in seen.items():
        if name in signature and name != "model":
            assert value == signature[name].default, name


def test_errors_reach_the_caller(pool):
    with RatingServer(always="404") as server:
        result = invoke(pool, "--model", "openai/m", "--api-base", server.base)
    assert isinstance(result.exception, RatingError)
    assert result.exception.exit_code == 4


NOW = RatingProgress("m", 123_456, 300_000, 212.4, 0.001, 0.004, 48, 64, 13.97, 34.0, 93.0)


def test_the_progress_line_says_it_all():
    assert progress_text(NOW) == (
        "m 123,456/300,000 41% · 212/s · null 0.1% · in flight 48/64 · refused 0.4% · "
        "$13.97 of about $34.00 · eta 1m33s"
    )


def test_a_closed_pipe_stops_nothing(monkeypatch):
    lines = []

    def broken(text, err):
        lines.append(text)
        raise BrokenPipeError

    monkeypatch.setattr(click, "echo", broken)
    line = _PlainLine()
    line._last = 0.0
    for _ in range(3):
        line(NOW)
    assert len(lines) == 1
