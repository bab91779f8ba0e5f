"""How well a masked_lm guesses hidden tokens of held-out documents, beside models that count.

Shapes: B rows, T sequence length, M hidden tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_keras import console
from llm_keras.errors import UserError
from llm_keras.evaluation.baselines import streams
from llm_keras.evaluation.given import Given
from llm_keras.evaluation.masking import (
    FAIR,
    Flags,
    Guesses,
    Ints,
    MaskedRows,
    masked_rows,
)
from llm_keras.evaluation.neighbours import Neighbours, guess
from llm_keras.tokenizers import Tokenizer

if TYPE_CHECKING:
    from llm_keras.models import MaskedLM

#: Hidden tokens that the counting models guess: they take as many steps of V numbers.
BASELINE_TARGETS = 20_000
#: Rows whose beginnings are shown, and tokens of each.
SAMPLES, SAMPLE_TOKENS = 3, 80


def evaluate_masked(given: Given) -> dict[str, Any]:
    """The fields of evaluation.json that a masked_lm has.

    The baselines guess the same tokens as the network does, or the first of them.

    Raises:
        UserError: The tokenizer has no mask piece, or a shard is damaged.
    """
    run, network, tokenizer, held_out = given.run, given.network, given.tokenizer, given.held_out
    if tokenizer.mask_id is None:
        raise UserError(
            "the tokenizer has no mask piece; add <mask> to tokenizer.user_symbols and run"
            " `llm-keras tokenizer` again"
        )
    masking, size = run.training.masking, run.evaluation.batch_size
    batches = list(masked_rows(held_out, tokenizer, masking, run.seed, size))
    guesses = guesses_of(network, batches, held_out.num_rows)
    given.refuse_diverged(guesses.cross_entropy)
    counted = next(streams(given.training, run.evaluation.baseline_tokens, tokenizer.bos_id))
    neighbours = Neighbours(counted, held_out.manifest.vocabulary_size)
    asked = list(_first(batches, BASELINE_TARGETS))
    baselines = {
        name: guess(neighbours, asked, looks=looks).as_dict()
        for name, looks in (("unigram", False), ("neighbours", True))
    }
    return {
        "targets": guesses.targets,
        **guesses.as_dict(),
        "baselines": baselines,
        "masked": {
            "fraction": masking.fraction,
            "seed": run.seed,
            "samples": _samples(network, tokenizer, batches[0]),
        },
    }


def guesses_of(network: MaskedLM, batches: list[MaskedRows], num_rows: int) -> Guesses:
    """Lets the network guess all hidden tokens; what is no number is in the sum, and no guess."""
    import tensorflow as tf

    row = tf.TensorSpec([None, batches[0].tokens.shape[1]], tf.int32)
    columns = dict.fromkeys(("tokens", "segments", "positions"), row)
    hidden_places, truths = tf.TensorSpec(row.shape, tf.bool), tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=[columns, hidden_places, truths], autograph=False)
    def judge(inputs: dict[str, Any], hidden: Any, truth: Any) -> tuple[Any, Any, Any]:
        logits = _logits(network, inputs, hidden)
        cost = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits)  # [M]
        of_truth = tf.gather(logits, truth, batch_dims=1)[:, None]
        # Of equals the truth comes last, and what is no number comes before it.
        before = network.vocabulary_size - 1 - tf.math.count_nonzero(logits < of_truth, axis=1)
        good, fair = (tf.math.count_nonzero(before < most) for most in (1, FAIR))
        return tf.reduce_sum(tf.cast(cost, tf.float64)), good, fair

    guesses = Guesses()
    with console.progress("evaluate", total=num_rows, unit="rows") as bar:
        for done, rows in enumerate(batches, 1):
            truth = rows.tokens[rows.hidden]
            nats, good, fair = judge(_inputs(rows), rows.hidden, truth)
            guesses.add(nats, good, fair, len(truth))
            bar.update(min(done * len(rows.tokens), num_rows))
    return guesses


def _logits(network: MaskedLM, inputs: dict[str, Any], hidden: Any) -> Any:
    """Of the hidden places only, float32 [M, V]: those of all would not fit memory."""
    import tensorflow as tf

    return network.logits(tf.boolean_mask(network.hidden_states(inputs), hidden))


def _inputs(rows: MaskedRows) -> dict[str, Any]:
    return {"tokens": rows.shown, "segments": rows.segments, "positions": rows.positions}


def _first(batches: list[MaskedRows], targets: int) -> Iterator[MaskedRows]:
    """The batches until so many tokens are hidden in them."""
    counted = 0
    for rows in batches:
        if counted >= targets:
            return
        yield rows
        counted += int(rows.hidden.sum())


def _samples(network: MaskedLM, tokenizer: Tokenizer, rows: MaskedRows) -> list[dict[str, Any]]:
    """The beginnings of the first rows: runs of text, and between them truth and guess."""
    guessed = np.array(rows.tokens)
    guessed[rows.hidden] = _logits(network, _inputs(rows), rows.hidden).numpy().argmax(-1)
    pieces = tokenizer.piece_bytes()
    return [
        {"parts": list(_parts(pieces, *(column[:SAMPLE_TOKENS] for column in row)))}
        for row in zip(rows.tokens[:SAMPLES], guessed[:SAMPLES], rows.hidden[:SAMPLES], strict=True)
    ]


def _parts(
    pieces: list[bytes], tokens: Ints, guessed: Ints, hidden: Flags
) -> Iterator[str | dict[str, str]]:
    for is_hidden, run in itertools.groupby(range(len(tokens)), lambda place: bool(hidden[place])):
        places = list(run)
        if is_hidden:
            for place in places:
                truth, guess = (_text(pieces, [ids[place]]) for ids in (tokens, guessed))
                yield {"truth": truth, "guess": guess}
        else:
            yield _text(pieces, tokens[places])


def _text(pieces: list[bytes], ids: Iterable[int]) -> str:
    return b"".join(pieces[number] for number in ids).decode("utf-8", "replace")
