"""Batch files in the OpenAI format: written for a provider to answer at its leisure, read back.

No network: the files are uploaded by hand, or given to `vllm run-batch`. A line of the request file
is `{"custom_id", "method", "url", "body"}`, one of a result file `{"custom_id", "response":
{"status_code", "body"}, "error"}`. The custom id is the sample's key, a dot and the id of the run's
header, so an answer finds its prompt and its scale in any order and from any file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ds2_fast.rating.answer import read_answer
from ds2_fast.rating.chances import read_chances
from ds2_fast.rating.endpoint import make_scrubber
from ds2_fast.rating.header import Header, find_headers, reopen
from ds2_fast.rating.jobs import Jobs
from ds2_fast.rating.journal import Journal, Record, load_journal
from ds2_fast.rating.money import Spending
from ds2_fast.rating.patience import Sample
from ds2_fast.rating.recorder import Recorder
from ds2_fast.rating.transport import Answer, Failure, classify

MOST_LINES = 50_000
MOST_BYTES = 190 * 10**6
URL = "/v1/chat/completions"
# Prefixes by which litellm tells providers apart; a provider itself does not know them.
_PROVIDERS = frozenset(
    {"openai", "hosted_vllm", "azure", "together_ai", "groq", "fireworks_ai", "mistral",
     "anthropic", "gemini", "openrouter", "deepseek", "xai", "deepinfra", "nebius"}
)  # fmt: skip


def batch_lines(
    jobs: Jobs, todo: Iterable[int], header: Header, params: Mapping[str, Any]
) -> Iterator[bytes]:
    """The request of each job as a line.

    Args:
        jobs: the requests of the pool.
        todo: indices of those to be asked.
        header: the run they belong to.
        params: parameters of every request, `max_tokens` among them.

    Yields:
        One line, its newline included.
    """
    provider, _, rest = jobs.asking.model.partition("/")
    model = rest if rest and provider in _PROVIDERS else jobs.asking.model
    for job in todo:
        body = {"model": model, "messages": jobs.asking.messages(jobs.user(job)), **params}
        custom_id = f"{jobs.keys[job]}.{header.id}"
        line = {"custom_id": custom_id, "method": "POST", "url": URL, "body": body}
        yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


def chunk_lines(
    lines: Iterable[bytes], most_lines: int = MOST_LINES, most_bytes: int = MOST_BYTES
) -> Iterator[list[bytes]]:
    """Cut lines into files: at most 50,000 lines and 190 MB each, the least any provider takes."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and (len(chunk) == most_lines or size + len(line) > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield chunk


@dataclass
class Imported:
    """What came of reading result files.

    Attributes:
        rated: answers with ratings.
        reasons: answers without, by reason.
        known: answers to samples that had a rating already; left alone.
        foreign: lines that are no result of this journal's runs.
        cost: dollars of the new answers; None if a price is unknown.
    """

    rated: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    known: int = 0
    foreign: int = 0
    cost: float | None = 0.0


def import_results(journal_path: Path, files: Iterable[Path], *, keep_raw: bool = True) -> Imported:
    """Read result files into a journal; hold its lock.

    Answers may come in any order, in part, and twice: what has a rating keeps it, and is not
    counted again. An answer costs what the run's price list says of batches.

    Args:
        journal_path: the journal the requests were exported from.
        files: result files.
        keep_raw: store the text of answers.

    Returns:
        Counts and cost.

    Raises:
        OSError: if a file cannot be read or the journal not written.
    """
    headers = find_headers(journal_path)
    known = {k for k, r in load_journal(journal_path).records.items() if r.ratings is not None}
    done = Imported()
    scrub = make_scrubber()
    with closing(Journal(journal_path)) as journal:
        recorder = Recorder(journal, Spending(), keep_raw)
        current = ""
        for line in _lines(files):
            result = _read_result(line, headers)
            if result is None:
                done.foreign += 1
                continue
            key, header, entry = result
            if key in known:
                done.known += 1
                continue
            if header.id != current:
                current = header.id
                reopen(journal, header)
            if _take(recorder, key, header, entry, done=done, scrub=scrub):
                known.add(key)
            if recorder.error:
                raise OSError(0, recorder.error, str(journal_path))
    return done


def _lines(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        with file.open("rb") as handle:
            yield from (line for line in handle if line.strip())


def _read_result(
    line: bytes, headers: Mapping[str, Header]
) -> tuple[str, Header, dict[str, Any]] | None:
    try:
        entry = json.loads(line)
        key, _, run = entry["custom_id"].partition(".")
        return key, headers[run], entry
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _take(
    recorder: Recorder,
    key: str,
    header: Header,
    entry: dict[str, Any],
    *,
    done: Imported,
    scrub: Callable[[str], str],
) -> bool:
    """Record one result. Returns whether it is a rating."""
    sample = Sample(0, "", None, 0, requests=1)
    prompt = header.asking.prompt
    response = entry.get("response") or {}
    body = response.get("body") or {}
    status = response.get("status_code")
    answer = None
    if not entry.get("error") and status in (None, HTTPStatus.OK):
        answer = read_body(body)
    if answer is None:
        error = json.dumps(entry.get("error") or body.get("error") or "no answer")
        kind = classify(status, error)
        # What ends a live run says nothing about the sample: it stays open.
        why = (Failure.TRANSPORT if kind in (Failure.FATAL, Failure.CAPACITY) else kind).value
        done.reasons[why] += 1
        recorder.failure(key, sample, Record(None, why, True, False, "", (0, 0, 0)), scrub(error))
        return False
    ratings, why_not = read_answer(answer, prompt)
    chances = read_chances(answer, prompt) if ratings is not None else None
    usage = (answer.input_tokens or 0, answer.output_tokens or 0, answer.cached_tokens)
    cost = None if header.price is None else header.price.cost(*usage)
    done.cost = None if cost is None or done.cost is None else done.cost + cost
    record = Record(ratings, why_not, True, False, answer.model, usage, chances)
    recorder.answer(key, sample, record, answer, cost=cost, seconds=0.0)
    if why_not is not None:
        done.reasons[why_not] += 1
        return False
    done.rated += 1
    return True


def read_body(body: Mapping[str, Any]) -> Answer | None:
    """A chat completion in OpenAI's form as an `Answer`; None if it is none."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Answer(
            text=message.get("content") or "",
            finish=choice.get("finish_reason") or "stop",
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            cached_tokens=details.get("cached_tokens") or 0,
            model=body.get("model") or "",
            fingerprint=body.get("system_fingerprint") or "",
            logprobs=(choice.get("logprobs") or {}).get("content"),
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
