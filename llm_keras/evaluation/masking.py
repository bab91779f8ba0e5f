"""Which held-out tokens a masked_lm must guess, and how guesses are counted.

Shapes: B rows, T sequence length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_keras import config
from llm_keras.data.records import RecordStore
from llm_keras.evaluation.score import MAXIMUM_EXPONENT
from llm_keras.tokenizers import Tokenizer

Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

#: A guess is good if it comes first, and fair if it is among so many.
FAIR = 5


@dataclass(frozen=True)
class MaskedRows:
    """Rows of which some tokens are hidden.

    Attributes:
        tokens: int32 [B, T], the truth.
        segments: int32 [B, T].
        positions: int32 [B, T].
        shown: int32 [B, T], what a model sees: the mask piece in place of what is hidden.
        hidden: bool [B, T], what is to be guessed.
    """

    tokens: Ints
    segments: Ints
    positions: Ints
    shown: Ints
    hidden: Flags


@dataclass
class Guesses:
    """How hidden tokens were guessed: sums over `targets` of them."""

    nats: float = 0.0
    good: int = 0
    fair: int = 0
    targets: int = 0

    def add(self, nats: Any, good: Any, fair: Any, targets: Any) -> None:
        """Adds those of a batch."""
        self.nats += float(nats)
        self.good += int(good)
        self.fair += int(fair)
        self.targets += int(targets)

    @property
    def cross_entropy(self) -> float:
        """Nats per hidden token."""
        return self.nats / self.targets

    def as_dict(self) -> dict[str, float]:
        """The figures by their names in evaluation.json; accuracies are fractions."""
        return {
            "cross_entropy": self.cross_entropy,
            "perplexity": math.exp(min(self.cross_entropy, MAXIMUM_EXPONENT)),
            "accuracy": self.good / self.targets,
            f"top_{FAIR}_accuracy": self.fair / self.targets,
        }


def masked_rows(
    store: RecordStore, tokenizer: Tokenizer, settings: config.Masking, seed: int, batch_size: int
) -> Iterator[MaskedRows]:
    """All rows of `store` in their order, the same tokens hidden every time.

    They are chosen as in training, by seed and number of the row. All of them are shown as the
    mask piece; in training some are shown as they are, or as others.

    Args:
        store: The rows.
        tokenizer: Has a mask piece and the special ids.
        settings: Which fraction of the tokens.
        seed: Another one hides other tokens.
        batch_size: B; the last batch is filled up with rows without tokens, of segment 0.
    """
    from llm_keras.models.masking import Masking

    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    all_masked = settings.model_copy(update={"masked": 1.0, "random": 0.0})
    hide = Masking(all_masked, store.manifest.vocabulary_size, int(tokenizer.mask_id or 0), special)
    for start in range(0, store.num_rows, batch_size):
        numbers = np.arange(start, min(start + batch_size, store.num_rows))
        filling = ((0, batch_size - len(numbers)), (0, 0))
        rows = store.rows(numbers)
        tokens, segments, positions = (
            np.pad(rows[name][:, : store.sequence_length], filling)
            for name in ("tokens", "segments", "positions")
        )
        keys = np.stack([np.full(batch_size, seed), start + np.arange(batch_size)], axis=1)
        masked = hide(tokens, segments, keys.astype(np.int32))
        hidden = np.zeros(tokens.shape, bool)
        row, place = np.nonzero(masked.weights.numpy())
        hidden[row, masked.places.numpy()[row, place]] = True
        yield MaskedRows(tokens, segments, positions, masked.tokens.numpy(), hidden)
