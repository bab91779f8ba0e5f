"""How well the next tokens of held-out documents are predicted, beside n-gram models."""

from __future__ import annotations

import itertools
from typing import Any

from llm_keras.evaluation.baselines import baseline_scores
from llm_keras.evaluation.given import Given
from llm_keras.evaluation.score import Score

#: Held-out documents that samples begin with where the run file has no prompts.
HELD_OUT_PROMPTS = 2
#: Most tokens taken from the beginning of such a document, about a dozen words.
PROMPT_TOKENS = 20


def evaluate_causal(given: Given) -> dict[str, Any]:
    """The fields of evaluation.json that a causal_lm has: quality, baselines, samples.

    Raises:
        UserError: A shard is damaged, or a prompt does not fit the context.
    """
    return {**evaluate_next_tokens(given), "samples": _samples(given)}


def evaluate_next_tokens(given: Given) -> dict[str, Any]:
    """The cost of all targets of the held-out rows under the network and under n-gram models.

    Of prompts with answers only the answers are targets; n-gram models, which would have to be
    counted on answers alone, are left out.
    """
    from llm_keras.evaluation import perplexity

    settings = given.run.evaluation
    score = perplexity.score(given.network, given.held_out, settings.batch_size)
    given.refuse_diverged(score.cross_entropy)
    baselines = (
        {} if given.held_out.manifest.kind == "answers" else _baselines(given, score.targets)
    )
    return {
        "targets": score.targets,
        "bytes": score.text_bytes,
        **score.as_dict(),
        "baselines": {name: other.as_dict() for name, other in baselines.items()},
    }


def _baselines(given: Given, targets: int) -> dict[str, Score]:
    tokenizer = given.tokenizer
    baselines = baseline_scores(
        given.training,
        given.held_out,
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        maximum_tokens=given.run.evaluation.baseline_tokens,
    )
    if {other.targets for other in baselines.values()} != {targets}:
        raise RuntimeError("the network and its baselines were not asked for the same tokens")
    return baselines


def _samples(given: Given) -> list[dict[str, str]]:
    from llm_keras.generation import generate_text

    run, tokenizer = given.run, given.tokenizer
    prompts = run.evaluation.prompts or _beginnings(given)
    completions = generate_text(given.network, tokenizer, prompts, run.generation, run.seed)
    return [
        {"prompt": prompt, "text": completion.text}
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def _beginnings(given: Given) -> list[str]:
    """The first words of held-out documents, cut before a word that may not be whole."""
    length = min(PROMPT_TOKENS, given.held_out.sequence_length // 2)
    documents = itertools.islice(given.held_out.documents(), HELD_OUT_PROMPTS)
    texts = [given.tokenizer.decode(document[1 : 1 + length].tolist()) for document in documents]
    return [text.rsplit(maxsplit=1)[0] if len(text.split()) > 1 else text for text in texts]
