"""Every strategy: exactly n distinct rows, or why fewer, and the same for any number of threads."""

from __future__ import annotations

import pytest

from ds2_fast.cli.sections import StrategyOption
from ds2_fast.cli.select import select
from ds2_fast.strategies import IS_DS2, find_strategy, option_types, strategy_names
from strategy_pool import ROWS, made_options, select_by

NAMES = [name for name in strategy_names() if name not in IS_DS2]


@pytest.mark.parametrize("name", NAMES)
def test_n_distinct_rows_on_any_number_of_threads(name, tmp_path):
    options = made_options(tmp_path).get(name)
    one, four = (select_by(name, 30, options, threads=threads) for threads in (1, 4))
    assert len(set(one.indices.tolist())) == 30
    assert one.report["selection"]["why_fewer"] == ""
    assert one.indices.tobytes() == four.indices.tobytes()
    assert one.scores.equals(four.scores)


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_pool_or_why_fewer(name, tmp_path):
    chosen = select_by(name, ROWS, made_options(tmp_path).get(name))
    rows = chosen.indices.tolist()
    assert len(set(rows)) == len(rows)
    assert (len(rows) == ROWS) == (chosen.report["selection"]["why_fewer"] == "")


@pytest.mark.parametrize("name", NAMES)
def test_a_nested_choice_for_fewer_begins_one_for_more(name, tmp_path):
    options = made_options(tmp_path).get(name, {})
    small, large = (select_by(name, n, options).indices.tolist() for n in (20, 50))
    if find_strategy(name)(**options).nested:
        assert large[:20] == small
    else:
        assert len(large) == 50


@pytest.mark.parametrize("name", [name for name in NAMES if not find_strategy(name).random])
def test_what_is_not_random_does_not_depend_on_the_seed(name, tmp_path):
    options = made_options(tmp_path).get(name)
    one, two = (select_by(name, 30, options, seed=seed).indices.tolist() for seed in (1, 2))
    assert one == two


def test_options_of_one_name_have_one_type():
    types = {}
    for name in strategy_names():
        for option, kind in option_types(find_strategy(name)).items():
            text = str(kind).replace(" | None", "").replace("typing.Optional", "")
            text = "str" if "Literal" in text or text == "<class 'str'>" else text
            assert types.setdefault(option, text) == text, (name, option)


def test_the_command_line_has_every_option():
    offered = {each.name for each in select.params if isinstance(each, StrategyOption)}
    for name in strategy_names():
        assert set(option_types(find_strategy(name))) <= offered
