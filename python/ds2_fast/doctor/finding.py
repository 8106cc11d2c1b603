"""What is said of one thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of what.
        state: `ok`; `note`, if only some runs need what is lacking; `wrong`, if results or runs
            suffer.
        found: in a sentence.
        mend: what mends it; empty where nothing is to be mended.
    """

    name: str
    state: State
    found: str
    mend: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return asdict(self)
