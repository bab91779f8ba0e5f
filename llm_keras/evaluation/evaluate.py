"""Stage `evaluate`: the network on held-out documents, beside n-gram models, and samples."""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING

from llm_keras import files
from llm_keras.config import Run
from llm_keras.data.records import RecordStore
from llm_keras.errors import DivergedError
from llm_keras.evaluation.baselines import baseline_scores
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer

if TYPE_CHECKING:
    from llm_keras.models import CausalLM

#: Held-out documents that samples begin with where the run file has no prompts.
HELD_OUT_PROMPTS = 2
#: Most tokens taken from the beginning of such a document, about a dozen words.
PROMPT_TOKENS = 20


def evaluate(run: Run, folder: RunFolder, network: CausalLM, step: int) -> None:
    """Writes `evaluation.json`, whole or not at all.

    Args:
        run: Gives prompts, batch size, seed and how samples are drawn.
        folder: Has the records and the tokenizer.
        network: With the weights to judge.
        step: The training step that the weights come from.

    Raises:
        UserError: Records and tokenizer do not fit, a shard is damaged, no documents are held
            out, or a prompt does not fit the context.
        DivergedError: The network's probabilities are not numbers.
    """
    from llm_keras.evaluation import perplexity

    settings = run.evaluation
    tokenizer = SentencePieceTokenizer(folder.tokenizer_model)
    training = RecordStore(folder.corpus, "train", tokenizer.sha256)
    held_out = RecordStore(folder.corpus, "validation", tokenizer.sha256)
    score = perplexity.score(network, held_out, settings.batch_size)
    if not math.isfinite(score.nats):
        raise DivergedError(
            f"step {step}: the loss on held-out documents is {score.nats}; train again with a"
            " lower training.optimizer.learning_rate"
        )
    baselines = baseline_scores(
        training,
        held_out,
        bos_id=tokenizer.bos_id,
        maximum_tokens=settings.baseline_tokens,
    )
    if {other.targets for other in baselines.values()} != {score.targets}:
        raise RuntimeError("the network and its baselines were not asked for the same tokens")
    evaluation = {
        "step": step,
        "split": "validation",
        "parameters": network.count_params(),
        "targets": score.targets,
        "bytes": score.text_bytes,
        **score.as_dict(),
        "baselines": {name: other.as_dict() for name, other in baselines.items()},
        "samples": _samples(run, network, tokenizer, held_out),
    }
    content = json.dumps(evaluation, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_whole(folder.evaluation, content + "\n")


def _samples(
    run: Run, network: CausalLM, tokenizer: SentencePieceTokenizer, held_out: RecordStore
) -> list[dict[str, str]]:
    from llm_keras.generation import generate_text

    prompts = run.evaluation.prompts or _beginnings(tokenizer, held_out)
    completions = generate_text(network, tokenizer, prompts, run.generation, run.seed)
    return [
        {"prompt": prompt, "text": completion.text}
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def _beginnings(tokenizer: SentencePieceTokenizer, held_out: RecordStore) -> list[str]:
    """The first words of held-out documents, cut before a word that may not be whole."""
    length = min(PROMPT_TOKENS, held_out.sequence_length // 2)
    documents = itertools.islice(held_out.documents(), HELD_OUT_PROMPTS)
    texts = [tokenizer.decode(document[1 : 1 + length].tolist()) for document in documents]
    return [text.rsplit(maxsplit=1)[0] if len(text.split()) > 1 else text for text in texts]
