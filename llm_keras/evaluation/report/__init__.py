"""report.html: one run as a page to look at, readable from disk, without network or scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llm_keras import files
from llm_keras.config import Run
from llm_keras.errors import UserError
from llm_keras.evaluation.report import (
    corpus,
    masked,
    quality,
    settings,
    training,
    translation,
)
from llm_keras.evaluation.report.facts import RunFacts
from llm_keras.evaluation.report.page import page
from llm_keras.pages.markup import Html
from llm_keras.run_folder import RunFolder

__all__ = ["write_report"]

#: Kind of model -> the sections that tell how good it is.
RESULTS: dict[str, tuple[Callable[[RunFacts], Html], ...]] = {
    "causal_lm": (quality.quality, quality.samples),
    "encoder_decoder": (translation.translation, translation.samples, quality.quality),
    "masked_lm": (masked.masked, masked.samples),
}


def write_report(run: Run, folder: RunFolder) -> Path:
    """Writes `report.html` from what the folder holds; what is missing is named with its command.

    Returns:
        The path of the report, written whole or not at all.

    Raises:
        UserError: There is no such folder, or a file in it cannot be read.
    """
    if not folder.root.is_dir():
        raise UserError(f"{folder.root}: no run there; make one with `llm-keras run`")
    facts = RunFacts.read(run, folder)
    content = page(
        facts,
        [
            *(part(facts) for part in RESULTS[run.model.kind]),
            training.training(facts),
            corpus.corpus(facts),
            corpus.tokenizer(facts),
            settings.settings(facts),
        ],
    )
    files.write_whole(folder.report, content)
    return folder.report
