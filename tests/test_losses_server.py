"""Losses by a server: every way to ask, what goes wrong, and what is paid once."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from ds2_fast.errors import ModelError, RatingError
from ds2_fast.losses import Limits, measure_losses, open_server_lm
from ds2_fast.losses.echo import Dialect, Echo, find_border
from logprob_server import LONGEST, LogprobServer, logprobs_of, tokens_of
from tiny_causal import WORDS

PROMPTS = ["why is the sky blue", "the cat", "", "why\n\nis", "is the dog"]
RESPONSES = ["the sky is blue .", "is red", "red dog ?", " blue", ""]


def by_hand(before: str, response: str, head: bool = False) -> tuple[float, int]:
    """Mean loss and number of the response's tokens, from the table."""
    start = ["<s>"] if head else []
    tokens = [*start, *tokens_of(before), *tokens_of(response)]
    first = max(1, len(start) + len(tokens_of(before)))
    values = logprobs_of(tokens)[first:]
    return (-sum(values) / len(values) if values else math.nan), len(values)


def ask(server: LogprobServer, prompts=PROMPTS, responses=RESPONSES, **options):
    limits = Limits(
        timeout=5, give_up=options.pop("give_up", 5), concurrency=options.pop("concurrency", 8)
    )
    journal = options.pop("journal", None)
    lm = open_server_lm("tiny", server.base, limits=limits, **options)
    return measure_losses(prompts, responses, lm, journal=journal)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("kind", ["echo", "echo-one-more", "prompt_logprobs"])
def test_every_way_to_ask_gives_the_losses_of_the_table(kind, head, split):
    with LogprobServer(kind=kind, head=head, split=split) as server:
        found = ask(server)
    for row, (prompt, response) in enumerate(zip(PROMPTS[:4], RESPONSES[:4], strict=True)):
        given, count = by_hand(f"{prompt}\n", response, head)
        lone, _ = by_hand("", response, head)
        assert found.conditioned[row] == pytest.approx(given, abs=1e-12)
        assert found.direct[row] == pytest.approx(lone, abs=1e-12)
        assert (found.tokens[row], found.status[row]) == (count, "measured")
    assert (found.status[4], found.tokens[4]) == ("empty", 0)
    assert math.isnan(found.conditioned[4]) and math.isnan(found.direct[4])


def test_only_the_first_tokens_count_as_in_a_network():
    words = " ".join(WORDS[2:10])
    with LogprobServer() as server:
        found = ask(server, ["why", words], [words, "red blue"], max_tokens=10)
    # Two tokens of the prompt, then eight of the response; alone, eight after the first.
    tokens = tokens_of(f"why\n{words}")[:10]
    assert found.tokens.tolist() == [8, 0]
    assert found.status.tolist() == ["measured", "truncated"]
    assert found.conditioned[0] == pytest.approx(-sum(logprobs_of(tokens)[2:]) / 8, abs=1e-12)
    alone = logprobs_of(tokens_of(words)[:9])[1:]
    assert found.direct[0] == pytest.approx(-sum(alone) / 8, abs=1e-12)


@pytest.mark.parametrize("kind", ["no-echo", "chat-only", "null-logprobs"])
def test_a_server_that_does_not_tell_is_said_at_once(kind):
    with LogprobServer(kind=kind) as server:
        with pytest.raises(ModelError) as caught:
            ask(server)
        assert server.requests <= 3
    assert "cannot get the log-probabilities of a prompt from http://127.0.0.1" in str(caught.value)
    assert "chat APIs cannot tell them" in caught.value.hint


def test_nobody_listens():
    with LogprobServer() as server:
        base = server.base
    lm = open_server_lm("tiny", base)
    with pytest.raises(ModelError, match=r"no connection to http://127\.0\.0\.1"):
        measure_losses(["a"], ["b"], lm)


def test_a_wrong_key_costs_one_request(monkeypatch):
    monkeypatch.setenv("OUR_KEY", "sk-wrong-wrong-wrong")
    with LogprobServer(key="right") as server:
        with pytest.raises(ModelError, match="refuses: 401") as caught:
            ask(server, api_key_env="OUR_KEY")
        assert server.requests == 1
        assert "sk-wrong" not in caught.value.message
        monkeypatch.setenv("OUR_KEY", "right")
        assert ask(server, api_key_env="OUR_KEY").status[0] == "measured"


def test_faults_are_tried_again_and_nothing_is_asked_twice():
    faults = {2: 429, 3: 500, 5: 503, 6: 429, 9: 500}
    prompts, responses = [f"why {n}" for n in range(30)], [f"red {n}" for n in range(30)]
    with LogprobServer(faults=faults) as server:
        found = ask(server, prompts, responses)
        assert set(found.status) == {"measured"}
        assert server.requests == 1 + 60 + len(faults)
        assert max(server.asked.values()) == 1


def test_a_text_too_long_for_the_server_is_one_row_and_asked_again_another_day(tmp_path):
    journal = tmp_path / "losses.jsonl"
    with LogprobServer() as server:
        prompts, responses = ["why", "the"], ["red " * LONGEST, "sky red"]
        found = ask(server, prompts, responses, journal=journal)
        assert found.status.tolist() == ["refused", "measured"]
        assert np.isnan(found.conditioned[0])
        before = server.requests
        ask(server, prompts, responses, journal=journal)
        assert server.requests == before + 2  # the first sentence, and the refused text


def test_what_got_no_answer_ends_the_run_and_the_rest_is_stored(tmp_path):
    journal = tmp_path / "losses.jsonl"
    prompts, responses = [f"why {n}" for n in range(20)], [f"red {n}" for n in range(20)]
    with LogprobServer(faults=dict.fromkeys(range(20, 400), 500)) as server:
        with pytest.raises(RatingError) as caught:
            ask(server, prompts, responses, journal=journal, concurrency=2, give_up=1)
        assert "does not answer: 500: fault 500" in caught.value.message
        stored = len(journal.read_text().splitlines())
        assert 5 <= stored < 20
        assert f"{stored} of 20 samples are stored" in caught.value.message
        server.faults.clear()
        asked = dict(server.asked)
        found = ask(server, prompts, responses, journal=journal)
        assert set(found.status) == {"measured"}
        kept = {json.loads(line)["k"] for line in journal.read_text().splitlines()}
        assert len(kept) == 20
        # At most the texts of the two samples in flight are asked again.
        twice = [text for text, n in server.asked.items() if n > 1 and text in asked]
        assert len(twice) <= 3


def test_requests_overlap_up_to_the_limit():
    prompts, responses = [f"why {n}" for n in range(60)], [f"red {n}" for n in range(60)]
    with LogprobServer(latency=0.02) as server:
        ask(server, prompts, responses, concurrency=6)
        assert 3 <= server.most_in_flight <= 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on(tmp_path, number):
    """In processes of their own: killed in the middle, and nothing stored is asked again."""
    here = Path(__file__).parent
    with subprocess.Popen(
        [sys.executable, here / "logprob_server.py", "--latency", "0.02"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout and server.stdin
        base = server.stdout.readline().strip()
        pool = tmp_path / "pool.jsonl"
        rows = [{"instruction": f"why {n}", "output": f"red {n} blue"} for n in range(400)]
        pool.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        command = [
            sys.executable, "-m", "ds2_fast", "losses", str(pool), "--api-base", base, "--model",
            "tiny", "--max-concurrency", "4", "-o", str(tmp_path / "losses.parquet"),
        ]  # fmt: skip
        journal = tmp_path / "pool.ds2" / "losses.jsonl"
        with subprocess.Popen(command, stderr=subprocess.PIPE) as run:
            deadline = time.monotonic() + 60
            while not journal.exists() or len(journal.read_bytes().splitlines()) < 50:
                assert time.monotonic() < deadline and run.poll() is None
                time.sleep(0.01)
            run.send_signal(number)
            assert run.wait(60) == (130 if number == signal.SIGINT else -number)
        stored = len(journal.read_bytes().splitlines())
        assert 50 <= stored < 400
        subprocess.run(command, check=True, capture_output=True)
        with urllib.request.urlopen(base.removesuffix("/v1") + "/ledger") as answer:
            asked = json.loads(answer.read())
        server.stdin.close()
    again = [text for text, times in asked.items() if times > 1 and "sky" not in text]
    # After Ctrl-C the four samples in flight were waited for.
    assert len(again) <= (8 if number == signal.SIGKILL else 0)
    import polars as pl

    frame = pl.read_parquet(tmp_path / "losses.parquet")
    assert frame["loss_status"].unique().to_list() == ["measured"]
    given, count = by_hand("why 7\n", "red 7 blue")
    assert frame["loss_conditioned"][7] == pytest.approx(given, abs=1e-12)
    assert frame["loss_tokens"][7] == count


# -- answers


def body(choice: dict, **more: object) -> bytes:
    return json.dumps({"choices": [choice], **more}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{}", b'{"choices": []}', body({"text": "x"}), body({"logprobs": None}),
        body({"logprobs": {"tokens": ["a", "b"], "token_logprobs": [None]}}),
        body({"logprobs": {"tokens": ["a", "b"], "token_logprobs": [None, 0.5]}}),
        body({"logprobs": {"tokens": ["a", "b"], "token_logprobs": [None, "x"]}}),
        body({"logprobs": {"tokens": ["a"], "token_logprobs": [None]}},
             usage={"prompt_tokens": 7}),
        b'{"choices": [{"logprobs": {"tokens": ["a", "b"], "token_logprobs": [null, NaN]}}]}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_an_answer_without_what_was_asked_is_none(answer):
    assert Dialect("echo", 0).read(answer) is None
    assert Dialect("prompt_logprobs", 1).read(answer) is None


def test_tokens_made_after_the_text_do_not_count():
    choice = {"logprobs": {"tokens": ["a", "b", "c"], "token_logprobs": [None, -1.0, -2.0]}}
    assert Dialect("echo", 1).read(body(choice)) == Echo(("a", "b"), (None, -1.0))
    told = body(choice, usage={"prompt_tokens": 2})
    assert Dialect("echo", 0).read(told) == Echo(("a", "b"), (None, -1.0))


@pytest.mark.parametrize(
    ("tokens", "border", "count"),
    [
        (("ab", "c", "de"), 0, 0),
        (("ab", "c", "de"), 2, 1),
        (("ab", "c", "de"), 3, 2),
        (("ab", "cd", "e"), 3, 2),  # a token across the border is the prompt's
        (("<s>", "ab", "c", "de"), 0, 1),
        (("<s>", "ab", "c", "de"), 2, 2),
        (("", "c", "de"), 2, 1),  # the first token is not named
        (("", "abc", "de"), 3, 2),  # `<s>` is not named
        (("abcde",), 5, 1),
        (("ab", "\ufffd", "\ufffd", "de"), 3, None),
    ],
)
def test_the_border_is_found_in_the_tokens(tokens, border, count):
    echo = Echo(tokens, (None,) * len(tokens))
    assert find_border(echo, "abcde", border) == count


def test_misuse_is_refused():
    with pytest.raises(ModelError, match="needs the address of its server"):
        open_server_lm("tiny", None)
    with pytest.raises(ValueError, match="max_tokens must be at least 2, got 1"):
        open_server_lm("tiny", "http://127.0.0.1:1/v1", max_tokens=1)
    with pytest.raises(ValueError, match="concurrency must be positive, got 0"):
        Limits(concurrency=0)
