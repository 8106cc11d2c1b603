"""Sizes: numbers, shares, nested subsets, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.sizes import parse_sizes, sized


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (None, ()),
        (7, (7,)),
        ("7", (7,)),
        ("5%", (10,)),
        ("0.1%", (1,)),
        ("100%", (200,)),
        ("100,30,30", (30, 100)),
        ([10, "5%", "50%"], (10, 100)),
        (200, (200,)),
        (np.int64(7), (7,)),
        ([np.int64(7), "100%"], (7, 200)),
    ],
)
def test_sizes(n, expected):
    assert parse_sizes(n, 200) == expected


def test_a_share_is_exact_before_it_is_rounded_down():
    # In floating point, 3000 * 2.3 / 100 is a little less than 69.
    assert parse_sizes("2.3%", 3000) == (69,)
    assert parse_sizes("2.399999%", 3000) == (71,)


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "cannot select 0 of 200 samples"),
        ("-5", "cannot select -5 of 200 samples"),
        ("101%", "cannot select 101% of 200 samples"),
        ("0%", "cannot select 0% of 200 samples"),
        (201, "cannot select 201 samples: the pool has 200"),
        ("many", "`many` is not a number of samples"),
        ("5%%", "`5%%` is not a number of samples"),
        ("nan%", "`nan%` is not a number of samples"),
        ("inf%", "cannot select inf% of 200 samples"),
        ("1e999999999%", "cannot select 1e999999999% of 200 samples"),
        (5.0, "`5.0` is not a number of samples"),
        (True, "`True` is not a number of samples"),
        ("", "`` is not a number of samples"),
        ([], "no size was given"),
    ],
)
def test_refused(n, message):
    with pytest.raises(PoolError) as error:
        parse_sizes(n, 200)
    assert error.value.message == message
    assert "-n" in error.value.hint or "number" in error.value.hint


def test_the_size_goes_into_the_name():
    assert sized(Path("a/b.jsonl.gz"), 30) == Path("a/b-30.jsonl.gz")
