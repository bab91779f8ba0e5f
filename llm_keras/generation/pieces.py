"""The text of pieces that are joined without a tokenizer.

The text of an answer comes from the tokenizer itself. Only the search for stop strings inside the
decode loop works on what single tokens spell (`Tokenizer.piece_bytes`), half characters included,
because it cannot afford a tokenizer call at every step.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from llm_keras.tokenizers.escapes import RULES

Tensor = Any


def unescape(text: Tensor) -> Tensor:
    """Undoes the tokenizer's escapes in joined pieces: string [B] to string [B].

    The escape of the escape character goes last, or its result could look like an escape.
    """
    for plain, spelt in RULES.items():
        text = tf.strings.regex_replace(text, spelt, plain)
    return text
