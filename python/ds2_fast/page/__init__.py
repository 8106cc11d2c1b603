"""The report of a run, or a comparison of runs or strategies, as one page without a network."""

from __future__ import annotations

from ds2_fast.page.bakeoff import draw_strategies
from ds2_fast.page.building import PAGE, build_page, write_page
from ds2_fast.page.comparison import draw_comparison
from ds2_fast.page.finished import draw_report

__all__ = ["PAGE", "build_page", "draw_comparison", "draw_report", "draw_strategies", "write_page"]
