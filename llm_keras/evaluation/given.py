"""What every evaluation is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from llm_keras.config import Run
from llm_keras.data.records import RecordStore
from llm_keras.errors import DivergedError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import Tokenizer


@dataclass(frozen=True)
class Given:
    """A run with the weights to judge and what to judge them by.

    Attributes:
        run: The settings.
        folder: Has the curated documents.
        network: A model of the run's kind.
        step: The training step that the weights come from.
        tokenizer: The one that the records were made with.
        training: Rows that baselines may count.
        held_out: Rows that nobody has seen.
    """

    run: Run
    folder: RunFolder
    network: Any
    step: int
    tokenizer: Tokenizer
    training: RecordStore
    held_out: RecordStore

    def refuse_diverged(self, cross_entropy: float) -> None:
        """Ends the evaluation of weights whose probabilities are no numbers.

        Raises:
            DivergedError: They are not; says what to do.
        """
        if not math.isfinite(cross_entropy):
            raise DivergedError(
                f"step {self.step}: the loss on held-out documents is {cross_entropy}; train again"
                " with a lower training.optimizer.learning_rate"
            )
