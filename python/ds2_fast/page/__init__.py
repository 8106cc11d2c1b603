"""The report of a run as one page that opens without a network."""

from __future__ import annotations

from ds2_fast.page.building import build_page, write_page

__all__ = ["build_page", "write_page"]
