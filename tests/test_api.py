"""The public names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ds2_fast


@pytest.mark.parametrize("name", ds2_fast.__all__)
def test_every_public_name_exists_and_is_documented(name):
    value = getattr(ds2_fast, name)
    assert name == "__version__" or value.__doc__


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(ds2_fast.__file__).read_text())
    typed = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert typed == set(ds2_fast.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute `selekt`"):
        ds2_fast.selekt  # noqa: B018
