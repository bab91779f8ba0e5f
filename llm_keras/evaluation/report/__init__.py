"""report.html: one run as a page to look at, readable from disk, without network or scripts."""

from __future__ import annotations

from pathlib import Path

from llm_keras import files
from llm_keras.config import Run
from llm_keras.errors import UserError
from llm_keras.evaluation.report import corpus, quality, settings, training
from llm_keras.evaluation.report.facts import RunFacts
from llm_keras.evaluation.report.page import page
from llm_keras.run_folder import RunFolder

__all__ = ["write_report"]


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
            quality.quality(facts),
            quality.samples(facts),
            training.training(facts),
            corpus.corpus(facts),
            corpus.tokenizer(facts),
            settings.settings(facts),
        ],
    )
    files.write_whole(folder.report, content)
    return folder.report
