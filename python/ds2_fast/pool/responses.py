"""Samples split into prompt and response."""

from __future__ import annotations

from ds2_fast.errors import PoolError
from ds2_fast.pool.pool import Pool


def prompts_and_responses(pool: Pool) -> tuple[list[str], list[str]]:
    """Split each sample at its last turn of the assistant.

    The response is the content of that turn, the prompt that of all turns before it, system prompt
    included, joined by line ends without empty ones, as in `Pool.texts`. What follows the turn is
    left out. A sample in which the assistant says nothing has all its turns as prompt, and an empty
    response.

    Returns:
        N prompts and N responses.

    Raises:
        PoolError: the pool holds text that is not split into turns, or a role that is not known.

    Cost: O(turns), about 2 seconds for 340,000 samples.
    """
    if pool.schema.text is not None:
        raise PoolError(
            f"the text `{pool.schema.text}` is not split into prompt and response",
            "name the columns of both with `--prompt-col` and `--response-col`, or the column of "
            "turns with `--messages-col`",
        )
    prompts, responses = [], []
    for turns in pool.conversations():
        last = next((at for at in reversed(range(len(turns))) if turns[at].role == "assistant"),
                    len(turns))  # fmt: skip
        prompts.append("\n".join(turn.content for turn in turns[:last] if turn.content))
        responses.append(turns[last].content if last < len(turns) else "")
    return prompts, responses
