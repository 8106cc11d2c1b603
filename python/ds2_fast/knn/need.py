"""What a search takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """Bytes that a search takes at most.

    Attributes:
        memory: beside the embeddings, which are mapped.
        disk: in the run directory.
    """

    memory: int
    disk: int
