"""From texts to token ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import ModelError

if TYPE_CHECKING:
    import tokenizers

# A text is cut at 40 characters a token before it is tokenized: hardly any text needs more, and
# tokenizing 1 MB to keep 256 tokens takes 0.4 s and 120 MB.
_CHARACTERS_PER_TOKEN = 40
# A plain space after a visible character: there every tokenizer splits, so the tokens before it do
# not depend on what follows. Other white space is not safe: some is dropped, some joins words.
_SPLIT = re.compile(r"(?<=\S) ")


class TextTokenizer:
    """Token ids of texts, truncated, without padding.

    The padding and truncation stored in tokenizer.json are left over from training (for
    all-MiniLM-L6-v2 128 tokens, always) and are never used.

    Args:
        path: `tokenizer.json`.
        max_length: tokens kept of a text, the special ones included.
        prompt: prefix of every text.
        lowercase: lowercase the texts first.

    Raises:
        ModelError: the file is missing or not a tokenizer, or `max_length` leaves no room for a
            token of the text.
    """

    def __init__(
        self, path: Path, *, max_length: int, prompt: str = "", lowercase: bool = False
    ) -> None:
        self._tokenizer = open_tokenizer(path)
        special = self._tokenizer.num_special_tokens_to_add(False)
        if max_length <= special:
            raise ModelError(
                f"a length of {max_length} tokens leaves no room beside {special} special tokens"
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self._max_length = max_length
        self._prompt = prompt
        self._lowercase = lowercase

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Tokenize texts.

        Args:
            texts: any strings; halves of surrogate pairs become U+FFFD.

        Returns:
            One int64 array of 1 to `max_length` ids a text.
        """
        prepared = [self._prepare(text) for text in texts]
        ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(texts)
        limit = _CHARACTERS_PER_TOKEN * self._max_length
        left = list(range(len(texts)))
        while left:
            ends = [_cut(prepared[row], limit) for row in left]
            cut = [prepared[row][:end] for row, end in zip(left, ends, strict=True)]
            short = []
            for row, end, encoding in zip(
                left, ends, self._tokenizer.encode_batch_fast(cut), strict=True
            ):
                ids[row] = np.asarray(encoding.ids, np.int64)
                # Fewer tokens than fit: what was cut off would have given more.
                if end < len(prepared[row]) and len(ids[row]) < self._max_length:
                    short.append(row)
            left = short
            limit *= 2
        return ids

    def _prepare(self, text: str) -> str:
        # Models were trained and are served with stripped texts.
        whole = (self._prompt + text).strip()
        if self._lowercase:
            whole = whole.lower()
        return whole if whole.isascii() else mend_surrogates(whole)


def open_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """Open a `tokenizer.json`, with whatever padding and truncation it holds.

    Raises:
        ModelError: the file is missing or not a tokenizer.
    """
    from tokenizers import Tokenizer

    if not path.exists():
        raise ModelError(
            f"`{path.parent}` has no `tokenizer.json`",
            hint="write one with transformers: "
            "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
        )
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exception, whatever is wrong
        raise ModelError(f"`{path}` is not a tokenizer: {error}") from error


def mend_surrogates(text: str) -> str:
    r"""Make a text valid Unicode: join surrogate pairs, replace halves by U+FFFD.

    JSON escapes such as `"\ud83d"` bring halves into Python strings; tokenizers reject them.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _cut(text: str, limit: int) -> int:
    """Return the first safe place to cut from `limit` characters on, or the end of the text."""
    if len(text) <= limit:
        return len(text)
    place = _SPLIT.search(text, limit)
    return place.start() if place else len(text)
