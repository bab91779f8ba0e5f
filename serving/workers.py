"""Threads for the model, and a bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from serving.errors import Code, ServingError

Result = TypeVar("Result")


class Workers:
    """Runs blocking work for the event loop, and refuses it when too much waits.

    Args:
        threads: Calls at once. TensorFlow frees the interpreter while it computes.
        queue: Calls that wait for a thread.
    """

    def __init__(self, threads: int, queue: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="serving")
        self._places = BoundedSemaphore(threads + queue)

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, called in a thread.

        Raises:
            ServingError: UNAVAILABLE; the queue is full.
        """
        if not self._places.acquire(blocking=False):
            raise ServingError(Code.UNAVAILABLE, "too many requests are waiting; try again later")
        future = self._executor.submit(work)
        # When the work ends, not when the client leaves: a thread is taken until then.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Drops what waits and returns when nothing runs."""
        self._executor.shutdown(wait=True, cancel_futures=True)
