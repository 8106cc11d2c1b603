"""One step of a plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ds2_fast.room import size
from ds2_fast.terminal import duration

Action = Literal["read", "rate", "embed", "compute", "reuse"]


@dataclass(frozen=True)
class Step:
    """What one part of a run would do, and take. Figures are estimates.

    Attributes:
        name: the part; stages have the names they have in the manifest.
        action: what would be done.
        samples: of how many samples; None where it is not of samples.
        seconds: time; None = not known.
        memory: bytes beside the pool and the mapped features, at most; None = not known, small.
        disk: bytes it would leave in the run directory.
        dollars: money; None = not known.
        basis: how the figures were estimated.
    """

    name: str
    action: Action
    samples: int | None
    seconds: float | None
    memory: int | None
    disk: int
    dollars: float | None
    basis: str

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return asdict(self)

    def tell(self) -> str:
        """Say it in one line."""
        many = "" if self.samples is None else f"{self.samples:,} samples, "
        if self.action == "reuse":
            return f"{self.action:<8} {self.basis}"
        parts = ["time not known" if self.seconds is None else f"about {duration(self.seconds)}"]
        parts += [] if self.memory is None else [f"{size(self.memory)} memory"]
        parts += [f"{size(self.disk)} disk"] if self.disk else []
        if self.dollars is None:
            parts.append("at an unknown price")
        elif self.action == "rate":
            parts.append(f"${self.dollars:,.2f}")
        return f"{self.action:<8} {many}{', '.join(parts)} ({self.basis})"


def reused(name: str) -> Step:
    """A step whose artifact is in the run directory."""
    return Step(name, "reuse", None, 0.0, None, 0, 0.0, "in the run directory, as it is needed")
