"""Runs the engine's event loop in a thread of its own: it works inside a notebook's loop too.

The caller's thread waits, polls for progress and takes the signals: the first Ctrl-C or SIGTERM
stops the run in order, a second Ctrl-C at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

_POLL_SECONDS = 0.25


class Drive:
    """One run of a coroutine in a thread.

    Args:
        work: makes the coroutine; called in the thread.
        interrupt: asks it to end in order; called in its loop.
        poll: called in the caller's thread a few times a second.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        interrupt: Callable[[], None],
        poll: Callable[[], None],
    ) -> None:
        self._work = work
        self._interrupt = interrupt
        self._poll = poll
        self._presses = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._done = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run to the end.

        Raises:
            KeyboardInterrupt: at the second Ctrl-C.
            BaseException: whatever the coroutine or `poll` raised; `poll`'s ends the run in order
                first.
        """
        thread = threading.Thread(target=self._main, name="ds2-fast rating", daemon=True)
        problem: BaseException | None = None
        with self._signals():
            thread.start()
            while not self._done.is_set():
                try:
                    self._done.wait(_POLL_SECONDS)
                    if problem is None:
                        self._poll()
                except KeyboardInterrupt:
                    self.press()
                except BaseException as error:
                    problem = error
                    self.press()
            thread.join()
        if self._error is not None and not isinstance(self._error, asyncio.CancelledError):
            raise self._error
        if problem is not None:
            raise problem
        if self._error is not None:
            raise KeyboardInterrupt

    def press(self) -> None:
        """Once: end in order. Twice: end now."""
        self._presses += 1
        loop, task = self._loop, self._task
        if loop is None or task is None:
            return  # not started yet; `_begin` looks at the count
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            loop.call_soon_threadsafe(self._interrupt if self._presses == 1 else task.cancel)

    def _main(self) -> None:
        try:
            asyncio.run(self._begin())
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    async def _begin(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._presses:
            self._interrupt()
        await self._work()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM, where this thread may and nobody else has."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        usual = ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))
        taken = [
            (number, handler) for number, handler in usual if signal.getsignal(number) is handler
        ]
        for number, _ in taken:
            signal.signal(number, lambda *_: self.press())
        try:
            yield
        finally:
            for number, handler in taken:
                signal.signal(number, handler)
