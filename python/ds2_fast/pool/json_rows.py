"""JSON Lines and JSON documents to rows, each with the text it was written in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import chain
from typing import Any

import polars as pl

from ds2_fast.errors import PoolError
from ds2_fast.garbage import uncollected
from ds2_fast.pool.columns import to_json, type_columns
from ds2_fast.pool.phrases import counted, named

JSON_SPACE = " \t\n\r"
_SPACE = re.compile(f"[{JSON_SPACE}]*")
_DECODER = json.JSONDecoder()
# Lines decoded at a time: what is held twice meanwhile stays small.
_BLOCK = 16384


@dataclass(frozen=True)
class JsonRows:
    """The rows of one or several JSON files.

    Attributes:
        raw: String `(N,)`, each row as it is written in the file, without the line end.
        values: the same rows, decoded.
    """

    raw: pl.Series
    values: list[dict[str, Any]]


def parse_lines(lines: pl.Series, source: str) -> JsonRows:
    """Decode JSON Lines; blank lines are skipped.

    Args:
        lines: String, one per line of the file.
        source: the file's name, for errors.

    Raises:
        PoolError: with file and line, where a line is not one JSON object.

    Cost: O(bytes), about 2 seconds for 340,000 rows of 1 kB. Memory: the decoded rows.
    """
    raw = lines.str.strip_chars_end("\r")
    if len(raw) and (raw[0] or "").startswith("\ufeff"):
        raw = pl.concat([raw[:1].str.strip_prefix("\ufeff"), raw[1:]])
    rows = raw.filter(raw.str.strip_chars(JSON_SPACE) != "")
    try:
        with uncollected():
            values = [value for start in range(0, len(rows), _BLOCK)
                      for value in _decode(rows[start : start + _BLOCK])]  # fmt: skip
    except (ValueError, RecursionError):
        raise _broken_line(raw, source) from None
    return JsonRows(rows, values)


def _decode(lines: pl.Series) -> list[dict[str, Any]]:
    """Decode one object per line; ValueError where a line is anything else."""
    # `raw_decode` on stripped lines: `decode` looks for space around each, half as slow again.
    stripped = lines.str.strip_chars(JSON_SPACE).to_list()
    decoded = list(map(_DECODER.raw_decode, stripped))
    if any(end != len(line) for (_, end), line in zip(decoded, stripped, strict=True)):
        raise ValueError("extra data")
    if any(type(value) is not dict for value, _ in decoded):
        raise ValueError("not an object")
    return [value for value, _ in decoded]


def parse_document(text: str, source: str) -> JsonRows:
    """Decode a JSON file: an array of objects, an object with one list of objects, or JSON Lines.

    Args:
        text: the whole file.
        source: the file's name, for errors.

    Raises:
        PoolError: with file and line, where the text is none of the three.
    """
    text = text.removeprefix("\ufeff")
    start = _space(text, 0)
    try:
        with uncollected():
            if text.startswith("[", start):
                return _array(text, start, source)
            value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        if start == len(text):
            return JsonRows(pl.Series(values=[], dtype=pl.String), [])
        raise PoolError(
            f"{source}:{error.lineno} is not JSON: {_reason(error)}",
            "repair the file, or name it .jsonl when each line is one sample",
        ) from None
    except RecursionError:
        raise PoolError(f"{source} is nested too deeply to be read", _REPAIR) from None
    if _space(text, end) < len(text):
        return parse_lines(pl.Series(values=text.split("\n"), dtype=pl.String), source)
    return _only_list(value, source)


def rows_to_frame(
    rows: list[dict[str, Any]],
) -> tuple[pl.DataFrame, frozenset[str], tuple[str, ...]]:
    """Make a frame of decoded rows; a key missing from a row is null, wherever it first occurs.

    Returns:
        The frame, the names of its columns of JSON text (see `type_columns`), and what to tell the
        user.
    """
    try:
        return *type_columns(_columns(rows)), ()
    except UnicodeEncodeError:
        mended, broken = _mend(rows)
        notice = (
            f"{counted(len(broken), 'sample')} with half of a surrogate pair (first: row "
            f"{broken[0]}), read as U+FFFD; the rows themselves are kept as written"
        )
        return *type_columns(_columns(mended)), (notice,)


_REPAIR = "repair or remove that line"


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: [row.get(name) for row in rows] for name in names}


def _mend(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    mended, broken = [], []
    for index, row in enumerate(rows):
        text = to_json(row)
        try:
            text.encode()
        except UnicodeEncodeError:
            broken.append(index)
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            mended.append(json.loads(whole))
        else:
            mended.append(row)
    return mended, broken


def _array(text: str, start: int, source: str) -> JsonRows:
    raw: list[str] = []
    values: list[dict[str, Any]] = []
    at = _space(text, start + 1)
    while not text.startswith("]", at):
        value, end = _DECODER.raw_decode(text, at)
        if not isinstance(value, dict):
            line = text.count("\n", 0, at) + 1
            raise PoolError(
                f"{source}:{line}: sample {len(values)} is {_kind(value)}, not an object", _REPAIR
            )
        raw.append(text[at:end])
        values.append(value)
        at = _space(text, end)
        if text.startswith(",", at):
            at = _space(text, at + 1)
        elif not text.startswith("]", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    rest = _space(text, at + 1)
    if rest < len(text):
        raise json.JSONDecodeError("Extra data", text, rest)
    return JsonRows(pl.Series(values=raw, dtype=pl.String), values)


def _only_list(value: object, source: str) -> JsonRows:
    if not isinstance(value, dict):
        raise PoolError(f"{source} holds {_kind(value)}, not a list of samples", _SHAPES)
    lists = {
        key: rows
        for key, rows in value.items()
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    }
    if len(lists) != 1:
        raise PoolError(
            f"{source} holds one object, and not exactly one list of samples in it: {named(lists)}",
            _SHAPES,
        )
    (rows,) = lists.values()
    return JsonRows(pl.Series(values=list(map(to_json, rows)), dtype=pl.String), rows)


_SHAPES = 'a .json file is `[{...}, {...}]` or `{"data": [{...}, {...}]}`'


def _broken_line(lines: pl.Series, source: str) -> PoolError:
    for number, line in enumerate(lines.to_list(), start=1):
        if not line.strip(JSON_SPACE):
            continue
        try:
            value = _DECODER.decode(line)
        except json.JSONDecodeError as error:
            return PoolError(
                f"{source}:{number} is not JSON: {_reason(error)}, column {error.colno}", _REPAIR
            )
        except RecursionError:
            return PoolError(f"{source}:{number} is nested too deeply to be read", _REPAIR)
        except ValueError:
            # The interpreter refuses to convert numbers of more than some thousand digits.
            return PoolError(f"{source}:{number} holds a number that is too long", _REPAIR)
        if not isinstance(value, dict):
            return PoolError(f"{source}:{number} is {_kind(value)}, not an object", _REPAIR)
    raise AssertionError("every line of the file is a JSON object")


def _reason(error: json.JSONDecodeError) -> str:
    return error.msg[0].lower() + error.msg[1:]


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
