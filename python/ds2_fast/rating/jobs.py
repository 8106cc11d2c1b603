"""Which requests a pool needs: every sample gets a key, equal keys are asked once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.garbage import uncollected
from ds2_fast.rating.kind import RATING, Kind
from ds2_fast.rating.prompt import Prompt
from ds2_fast.rating.render import RENDER_VERSION, Conversation, render, speaks_to_rater
from ds2_fast.rating.transport import Messages

EMPTY = -1
BEYOND_LIMIT = -2
# Chat formats add a few tokens to each message.
_MESSAGE_TOKENS = 16
# Rows whose keys are made at a time; their texts are in memory twice.
_BLOCK = 512


@dataclass(frozen=True)
class Asking:
    """All that, besides the sample, shapes a request; part of every key.

    Attributes:
        model: the model as asked for.
        endpoint: id of the endpoint, empty for a provider's own.
        prompt: the rating prompt.
        params: parameters as sent (temperature, max_tokens, ...).
        max_bytes: budget for the contents of a sample.
        kind: what is asked for; the prompt tells it too, so it is no part of a key.
    """

    model: str
    endpoint: str
    prompt: Prompt
    params: Mapping[str, Any]
    max_bytes: int
    kind: Kind = RATING

    def key_head(self) -> bytes:
        """What is hashed first for every key: schema, model, endpoint, prompt, params, system."""
        head = [
            "ds2-fast rating key 1",
            RENDER_VERSION,
            self.model,
            self.endpoint,
            self.prompt.digest,
            dict(self.params),
        ]
        text = json.dumps(head, sort_keys=True, separators=(",", ":"))
        return f"{text}\0{self.prompt.system}\0".encode()

    def messages(self, user: str) -> Messages:
        """The messages of a request; a prompt without a system text sends none."""
        head = [{"role": "system", "content": self.prompt.system}] if self.prompt.system else []
        return [*head, {"role": "user", "content": user}]


@dataclass
class Jobs:
    """The requests of a pool.

    Attributes:
        asking: what all requests share.
        conversations: the pool.
        keys: 32 hex digits for each distinct sample, in the order of first appearance; then as many
            for each repeat.
        rows: the first row of each distinct sample, likewise.
        sizes: UTF-8 bytes of each request (system and user text), likewise.
        job_of_row: int64 `(N,)`, index of the distinct sample; -1 = the row has no text, -2 =
            beyond the limit.
        truncated: bool `(N,)`, the sample is too long and goes out cut.
        flag_delim: bool `(N,)`, delimiter-like text was neutralized.
        repeats: how often each sample is asked.
    """

    asking: Asking
    conversations: Sequence[Conversation]
    keys: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    job_of_row: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    truncated: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    flag_delim: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    repeats: int = 1

    def __len__(self) -> int:
        """Number of distinct requests."""
        return len(self.keys)

    @property
    def samples(self) -> int:
        """Number of distinct samples."""
        return len(self.keys) // self.repeats

    def keys_of(self, sample: int) -> list[str]:
        """The keys of a distinct sample, one for each repeat."""
        return self.keys[sample :: self.samples]

    def repeat(self, repeats: int) -> None:
        """Ask for every sample `repeats` times; the first time under the key it had anyway."""
        self.repeats = repeats
        first = tuple(self.keys)
        for time in range(1, repeats):
            self.keys += [_key_again(key, time) for key in first]
        self.rows *= repeats
        self.sizes *= repeats

    def user(self, job: int, *, share: float = 1.0) -> str:
        """The user message of a job, rendered when it is needed; `share` < 1 cuts it shorter."""
        budget = int(self.asking.max_bytes * share)
        return render(self.conversations[self.rows[job]], self.asking.prompt, budget).user

    def token_bound(self, job: int) -> int:
        """Input tokens a request can take at most: no tokenizer makes more than one of a byte."""
        return self.sizes[job] + 2 * _MESSAGE_TOKENS

    def flag_inject(self) -> NDArray[np.bool_]:
        """Bool `(N,)`: the sample holds phrases that address a rater."""
        flags = (speaks_to_rater(conversation) for conversation in self.conversations)
        return np.fromiter(flags, np.bool_, len(self.conversations))


def _key_again(key: str, time: int) -> str:
    return hashlib.blake2b(f"{key} repeat {time}".encode(), digest_size=16).hexdigest()


@uncollected()
def build_jobs(
    conversations: Sequence[Conversation],
    asking: Asking,
    limit: int | None = None,
    repeats: int = 1,
) -> Jobs:
    """Render, hash and deduplicate a pool.

    A key is `blake2b-128(schema | model | endpoint | prompt | params | messages)`: it does not
    depend on the row, so pools may be reordered, extended and share a journal. O(bytes of the
    pool); texts are not kept.

    Args:
        conversations: N samples, each a sequence of (role, content).
        asking: what all requests share.
        limit: only the first `limit` rows are asked; None = all.
        repeats: how often each sample is asked, at least 1.

    Returns:
        The distinct requests.

    Raises:
        TypeError: if a turn is not a pair of texts; names the row.
    """
    total = len(conversations)
    system = len(asking.prompt.system.encode())
    jobs = Jobs(asking, conversations)
    jobs.job_of_row = np.full(total, BEYOND_LIMIT, np.int64)
    jobs.truncated, jobs.flag_delim = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    index: dict[str, int] = {}
    places: list[int] = []
    for row, found in enumerate(_keys(jobs, total if limit is None else min(limit, total))):
        if found is None:
            places.append(EMPTY)
            continue
        key, size = found
        job = index.setdefault(key, len(index))
        if job == len(jobs.keys):
            jobs.keys.append(key)
            jobs.rows.append(row)
            jobs.sizes.append(system + size)
        places.append(job)
    jobs.job_of_row[: len(places)] = places
    jobs.repeat(repeats)
    return jobs


def _keys(jobs: Jobs, count: int) -> Iterator[tuple[str, int] | None]:
    """Key and bytes of the user message of the first `count` rows; None where there is no text.

    The core makes the keys of most samples, many at a time: of those that go out as they are.
    """
    asking = jobs.asking
    head, turn, user = asking.key_head(), asking.prompt.turn, asking.prompt.user
    base = hashlib.blake2b(head, digest_size=16)
    for start in range(0, count, _BLOCK):
        block = [jobs.conversations[row] for row in range(start, min(start + _BLOCK, count))]
        plain = _core.plain_keys(block, head, turn, user, asking.max_bytes)
        for row, found in enumerate(plain, start):
            yield _key_with_care(jobs, row, block[row - start], base) if found is None else found


def _key_with_care(
    jobs: Jobs, row: int, conversation: Conversation, base: hashlib.blake2b
) -> tuple[str, int] | None:
    """The same for any sample, and the flags of what has to be done to it."""
    _check_turns(row, conversation)
    if not any(content.strip() for _, content in conversation):
        return None
    asking = jobs.asking
    user, jobs.truncated[row], jobs.flag_delim[row] = render(
        conversation, asking.prompt, asking.max_bytes
    )
    data = user.encode()
    state = base.copy()
    state.update(data)
    return state.hexdigest(), len(data)


def _check_turns(row: int, conversation: Conversation) -> None:
    for turn in conversation:
        match turn:
            case (str(), str()):
                continue
        raise TypeError(f"row {row}: a turn must be (role, content), two texts, got {turn!r:.80}")
