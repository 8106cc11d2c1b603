"""Whether a finished run is what it says: its files, its inputs, and the same result again."""

from __future__ import annotations

from ds2_fast.verifying.verification import Check, Verification, verify_run

__all__ = ["Check", "Verification", "verify_run"]
