"""Whether this machine and this installation are as they should be."""

from __future__ import annotations

from ds2_fast.doctor.examining import examine
from ds2_fast.doctor.finding import Finding

__all__ = ["Finding", "examine"]
