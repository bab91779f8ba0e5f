"""The functions of an exported masked language model.

Letters in shapes: B rows, D hidden.
"""

from __future__ import annotations

from typing import Any

from llm_keras.export.servable import TEXT, Outputs, Servable, Signatures
from llm_keras.generation import TextEncoder

Tensor = Any


class Encoding(Servable):
    """A masked language model: makes vectors of texts."""

    _model: TextEncoder

    def own_signatures(self) -> Signatures:
        """Text to vectors."""
        return {"serving_default": (self.encode, [TEXT]), "encode": (self.encode, [TEXT])}

    def encode(self, text: Tensor) -> Outputs:
        """Vectors of texts; the product of two is the cosine of their angle.

        Args:
            text: string [B], each of at most as many tokens as the context, bos and eos included.

        Returns:
            vectors: float32 [B, D], the mean of the hidden states, at unit length.
        """
        return {"vectors": self._model.vectors(self._fitting(self._model.encode(text), "text"))}
