"""Stage `evaluate`: the network on held-out documents, beside baselines, and samples to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from llm_keras import files, tokenizers
from llm_keras.config import Run
from llm_keras.data.records import RecordStore
from llm_keras.evaluation.given import Given
from llm_keras.evaluation.masked import evaluate_masked
from llm_keras.evaluation.next_tokens import evaluate_causal
from llm_keras.evaluation.translation import evaluate_translation
from llm_keras.run_folder import RunFolder

#: Kind of model -> what judges it. Each gives `cross_entropy` and the same of `baselines`.
KINDS: dict[str, Callable[[Given], dict[str, Any]]] = {
    "causal_lm": evaluate_causal,
    "encoder_decoder": evaluate_translation,
    "masked_lm": evaluate_masked,
}


def evaluate(run: Run, folder: RunFolder, network: Any, step: int) -> None:
    """Writes `evaluation.json`, whole or not at all.

    Args:
        run: Gives prompts, batch size, seed and how samples are drawn.
        folder: Has the records, the documents and the tokenizer.
        network: A model of the run's kind, with the weights to judge.
        step: The training step that the weights come from.

    Raises:
        UserError: Records and tokenizer do not fit, a shard is damaged, no documents are held
            out, or a prompt does not fit the context.
        DivergedError: The network's probabilities are not numbers.
    """
    tokenizer = tokenizers.load(folder.tokenizer_model)
    training = RecordStore(folder.corpus, "train", tokenizer.sha256)
    held_out = RecordStore(folder.corpus, "validation", tokenizer.sha256)
    given = Given(run, folder, network, step, tokenizer, training, held_out)
    evaluation = {
        "step": step,
        "kind": run.model.kind,
        "split": "validation",
        "parameters": network.count_params(),
        **KINDS[run.model.kind](given),
    }
    content = json.dumps(evaluation, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_whole(folder.evaluation, content + "\n")
