"""How many tokens a request takes, without asking anybody."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ds2_fast.rating.jobs import Jobs
from ds2_fast.rating.prompt import Prompt
from ds2_fast.rating.render import BYTES_PER_TOKEN

COUNTED = 2000
_ENCODING = "o200k_base"
# What chat formats put around the messages of a request.
_FRAME_TOKENS = 8
# Models indent or fence their answers now and then.
_ANSWER_SLACK = 1.1
_ANSWER_TOKENS = 40.0
_Z95 = 1.96


@dataclass(frozen=True)
class TokenRate:
    """Tokens of requests by their bytes.

    Attributes:
        per_byte: input tokens per byte, the frame of a chat apart.
        frame: input tokens per request on top.
        output: tokens of an answer.
        error: half width of the 95 % interval of the input tokens, as a share; it is that of the
            drawing alone. None where nothing was counted.
        basis: what it was counted with, in words.
    """

    per_byte: float
    frame: float
    output: float
    error: float | None
    basis: str


def estimate_rate(jobs: Jobs, todo: Sequence[int], stand_for: int | None = None) -> TokenRate:
    """Count the tokens of up to 2,000 requests, evenly drawn, with the tokenizer of GPT-4o.

    Its vocabulary comes with litellm, is read as a file and fits other models within some 10 % on
    English text. Where it is missing, 3.6 bytes make a token.

    Args:
        jobs: the requests of the pool.
        todo: indices of the requests to be bought.
        stand_for: how many requests they were drawn from; None = they are all.

    Returns:
        The rate. Cost: about 0.1 ms a request counted, 0.2 s for the vocabulary.
    """
    encoding = _encoding() if todo else None
    if encoding is None:
        basis = f"{BYTES_PER_TOKEN} bytes a token"
        answer = jobs.asking.kind.answer_tokens or _ANSWER_TOKENS
        return TokenRate(1 / BYTES_PER_TOKEN, 0.0, answer, None, basis)
    places = np.unique(np.linspace(0, len(todo) - 1, min(COUNTED, len(todo))).astype(int))
    drawn = [todo[place] for place in places]
    system = len(encoding.encode_ordinary(jobs.asking.prompt.system))
    tokens = np.array([system + len(encoding.encode_ordinary(jobs.user(job))) for job in drawn])
    sizes = np.array([jobs.sizes[job] for job in drawn])
    per_byte = float(tokens.sum() / sizes.sum())
    left = 1 - len(drawn) / max(
        stand_for or 0, len(todo)
    )  # nothing is uncertain where all are counted
    spread = (tokens - per_byte * sizes).std() * math.sqrt(left / len(drawn)) / tokens.mean()
    return TokenRate(
        per_byte,
        _FRAME_TOKENS,
        jobs.asking.kind.answer_tokens or _answer_tokens(encoding, jobs.asking.prompt),
        float(_Z95 * spread),
        f"{len(drawn):,} samples counted with {_ENCODING}",
    )


def _answer_tokens(encoding: Any, prompt: Prompt) -> float:  # noqa: ANN401
    answer = json.dumps(dict.fromkeys(prompt.names, prompt.scale[1] - 1))
    return len(encoding.encode_ordinary(answer)) * _ANSWER_SLACK


@lru_cache(maxsize=1)
def _encoding() -> Any | None:  # noqa: ANN401
    """The tokenizer, from litellm's own folder; None where either is not there. No network."""
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        cache = Path(folder) / "litellm_core_utils" / "tokenizers"
        if find_spec("tiktoken") is None or not (cache / _cache_name()).is_file():
            continue
        import tiktoken

        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
        try:
            return tiktoken.get_encoding(_ENCODING)
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before
    return None


def _cache_name() -> str:
    """The file tiktoken looks for; checked first, since it would fetch what is not there."""
    import hashlib

    address = f"https://openaipublic.blob.core.windows.net/encodings/{_ENCODING}.tiktoken"
    return hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
