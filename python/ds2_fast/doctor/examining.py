"""Look at everything a run needs, one thing after another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ds2_fast.doctor import machine, selftests
from ds2_fast.doctor.finding import Finding
from ds2_fast.features import DEFAULT_EMBEDDER


def examine(
    embedder: str = DEFAULT_EMBEDDER,
    *,
    folder: str | Path = ".",
    say: Callable[[Finding], object] | None = None,
) -> list[Finding]:
    """Examine the installation, the machine, and what small known work gives on it.

    Opens no socket, prints no key, and leaves no file behind.

    Args:
        embedder: the embedding model to check, if it is at hand.
        folder: where runs will be kept.
        say: is told each finding as it comes.

    Returns:
        The findings, in order.

    Cost: about two seconds, of which the model takes most.
    """
    from ds2_fast.embedding.store import default_cache

    looks: tuple[Callable[[], Finding], ...] = (
        machine.package,
        machine.libraries,
        machine.processor,
        machine.threads,
        machine.memory,
        lambda: machine.disk(Path(folder).absolute(), "runs"),
        lambda: machine.disk(default_cache(), "models"),
        lambda: machine.disk(Path(tempfile.gettempdir()), "scratch"),
        lambda: selftests.model(embedder),
        machine.keys,
    )
    findings: list[Finding] = []
    for look in (*looks, selftests.recall, selftests.speed):
        if look in (selftests.recall, selftests.speed) and _no_kernel(findings):
            continue
        finding = look()
        findings.append(finding)
        if say is not None:
            say(finding)
    return findings


def _no_kernel(findings: list[Finding]) -> bool:
    """Whether no search can run: that was said, and need not be said again."""
    return any(found.name == "processor" and found.state == "wrong" for found in findings)
