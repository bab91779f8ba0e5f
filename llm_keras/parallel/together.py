"""What several processes of a run do as one: nobody leaves early, and the end of one ends all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from llm_keras.errors import LostWorkerError
from llm_keras.parallel.engine import Engine
from llm_keras.parallel.watchdog import Watchdog

#: What TensorFlow raises where another process is gone, and is not raised otherwise.
LOSSES = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)


class Together(Engine):
    """An engine whose devices may belong to several processes.

    Attributes:
        watchdog: Is told whenever all processes have met; None: this process is alone.
    """

    watchdog: Watchdog | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Nobody leaves before the chief has done: the others would be missed.

        Raises:
            LostWorkerError: Another process has ended.
        """
        if self.watchdog is None:
            yield
            return
        try:
            yield
            self._wait_for_all()
        except tf.errors.OpError as error:
            if not self.lost(error):
                raise
            raise LostWorkerError(
                f"worker {self.part} of {self.parts} cannot go on, because another one has ended or"
                " does not answer; once all have ended, start them again"
            ) from None
        finally:
            self.watchdog.stop()

    def _wait_for_all(self) -> None:
        try:
            self.sum_over_processes(0)
        except tf.errors.OpError as error:
            if not self.lost(error):  # Who learnt of the end first may be gone.
                raise

    def lost(self, error: tf.errors.OpError) -> bool:
        """Whether it says that another process is gone."""
        several = self.watchdog is not None
        return several and (isinstance(error, LOSSES) or "Collective" in str(error.message))
