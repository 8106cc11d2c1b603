"""The numbers behind the plots of a report: what was moved, where the cut fell, who was taken."""

from __future__ import annotations

from ds2_fast.figures.gathering import Subject, gather_figures

__all__ = ["Subject", "gather_figures"]
