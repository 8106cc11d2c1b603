"""`python -m ds2_fast` is `ds2-fast`."""

from ds2_fast.cli import entry_point

entry_point()
