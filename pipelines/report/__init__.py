"""corpus/report.html: a curation as a page to look at, readable from disk, without scripts.

Needs neither Beam nor TensorFlow, so that `llm-keras report` writes it anywhere.
"""

from __future__ import annotations

from pathlib import Path

from llm_keras import config, console, files
from llm_keras.errors import UserError
from llm_keras.pages.markup import tag
from llm_keras.pages.page import document
from llm_keras.run_folder import RunFolder
from pipelines.report import (
    copies,
    examples,
    funnel,
    histograms,
    makeup,
    mixture,
    origin,
    overview,
    unreadable,
)
from pipelines.report.facts import CorpusFacts
from pipelines.report.style import STYLE

__all__ = ["attempt_report", "write_report"]

#: What the page says, in this order.
SECTIONS = (
    funnel.steps,
    funnel.sources,
    examples.examples,
    histograms.histograms,
    copies.copies,
    mixture.mixture,
    makeup.makeup,
    makeup.redacted,
    unreadable.unreadable,
    origin.origin,
)


def write_report(folder: RunFolder, run: config.Run | None = None) -> Path:
    """Writes `corpus/report.html` from what a curation left there.

    Args:
        folder: Of the run.
        run: Its settings, for the limits of the rules; None: those in its folder, if there are any.

    Returns:
        The path of the page, written whole or not at all.

    Raises:
        UserError: Nothing was curated there, or a file cannot be read.
    """
    facts = CorpusFacts.read(folder, run)
    if facts is None:
        raise UserError(f"{folder.curation}: is missing; run `llm-keras curate` first")
    found = overview.look_at(facts)
    content = document(
        f"{facts.name}: {overview.headline(facts)}",
        overview.header(facts, found),
        tag("main", *(section(facts) for section in SECTIONS)),
        style=STYLE,
    )
    files.write_whole(folder.corpus_report, content)
    return folder.corpus_report


def attempt_report(corpus: str, run: config.Run) -> None:
    """Writes the page of a curation that was just made; if it cannot, says so: the corpus stands.

    Args:
        corpus: The corpus folder; one in an object store gets no page.
        run: Its settings.
    """
    if "://" in corpus:
        console.say(f"curate: no page in {corpus}; copy it to disk and run `llm-keras report`")
        return
    try:
        write_report(RunFolder(Path(corpus).parent), run)
    except Exception as error:
        problem = str(error) if isinstance(error, UserError) else type(error).__name__
        console.warn(f"{corpus}: no report.html ({problem}); `llm-keras report` tries again")
