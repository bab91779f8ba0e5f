"""The n-gram models of a run: counted on its training documents, scored on the held-out ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llm_keras.data.records import RecordStore
from llm_keras.evaluation.ngram import KneserNey
from llm_keras.evaluation.score import Score

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3}
#: Held-out tokens scored at once: bounds the memory, does not change the result.
CHUNK_TOKENS = 2_000_000


def baseline_scores(
    training: RecordStore,
    held_out: RecordStore,
    *,
    bos_id: int,
    eos_id: int,
    maximum_tokens: int,
) -> dict[str, Score]:
    """Scores unigram, bigram and trigram models on the targets that the network is scored on.

    Where one id both begins and ends a document (GPT-2), the beginning gets an id of its own.

    Args:
        training: Documents to count. They lie in an order by hash, so the first are a sample.
        held_out: Documents to predict.
        bos_id: The first token of each document.
        eos_id: The last one.
        maximum_tokens: Count whole documents until there are so many tokens.
    """
    vocabulary_size = training.manifest.vocabulary_size
    if bos_id == eos_id:
        bos_id, vocabulary_size = vocabulary_size, vocabulary_size + 1
    counted = next(streams(training, maximum_tokens, bos_id))
    text_bytes = held_out.manifest.splits[held_out.split].bytes
    scores = {}
    for name, order in ORDERS.items():
        model = KneserNey(counted, order=order, vocabulary_size=vocabulary_size, bos_id=bos_id)
        nats, targets = 0.0, 0
        for stream in streams(held_out, CHUNK_TOKENS, bos_id):
            log_probabilities = model.log_probabilities(stream)
            nats -= float(log_probabilities.sum())
            targets += len(log_probabilities)
        scores[name] = Score(nats, targets, text_bytes)
    return scores


def streams(store: RecordStore, least_tokens: int, bos_id: int) -> Iterator[np.ndarray]:
    """Documents one after another, in arrays of at least so many tokens; the last is shorter.

    Each is begun by `bos_id`, whatever stands there in the records.
    """
    documents = store.documents()
    for first in documents:
        chunk, size = [first], len(first)
        while size < least_tokens and (document := next(documents, None)) is not None:
            chunk.append(document)
            size += len(document)
        starts = np.cumsum([0, *map(len, chunk[:-1])])
        stream = np.concatenate(chunk)
        stream[starts] = bos_id
        yield stream
