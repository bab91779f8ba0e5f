"""How well held-out text was predicted, in the units that papers use."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Largest exponent that still gives a finite float64; a model that bad is told apart no more.
MAXIMUM_EXPONENT = 700.0


@dataclass(frozen=True)
class Score:
    """The cost of a text under a model.

    Args:
        nats: Sum of -log p over all targets, natural logarithm.
        targets: Tokens that were predicted: all of every document but its bos.
        text_bytes: UTF-8 bytes of the documents.

    Example:
        >>> score = Score(nats=200.0, targets=100, text_bytes=300)
        >>> round(score.perplexity, 3), round(score.bits_per_byte, 3)
        (7.389, 0.962)
    """

    nats: float
    targets: int
    text_bytes: int

    @property
    def cross_entropy(self) -> float:
        """Nats per target token."""
        return self.nats / self.targets

    @property
    def perplexity(self) -> float:
        """``exp(cross_entropy)``; depends on the tokenizer."""
        return math.exp(min(self.cross_entropy, MAXIMUM_EXPONENT))

    @property
    def bits_per_byte(self) -> float:
        """``nats / (ln 2 * bytes)``; does not depend on the tokenizer. Eos is paid for too."""
        return self.nats / (math.log(2) * self.text_bytes)

    def as_dict(self) -> dict[str, float]:
        """The three figures by their names in evaluation.json."""
        names = ("cross_entropy", "perplexity", "bits_per_byte")
        return {name: getattr(self, name) for name in names}
