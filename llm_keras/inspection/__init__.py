"""`llm-keras inspect PATH`: what is in a file or folder of a run, in lines for a person to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from llm_keras.errors import UserError
from llm_keras.inspection import checkpoint, corpus, fate, overview, pieces, saved_model
from llm_keras.inspection.window import Window

__all__ = ["inspect"]

Show = Callable[[Path, Window], Iterator[str]]

#: How a path is known, and what shows it; the first that fits is taken.
KINDS: tuple[tuple[Callable[[Path], bool], Show], ...] = (
    (overview.is_run, overview.show),
    (corpus.is_records, corpus.show_records),
    (corpus.is_documents, corpus.show_documents),
    (corpus.is_corpus, corpus.show_corpus),
    (pieces.is_tokenizer, pieces.show),
    (checkpoint.is_checkpoint, checkpoint.show),
    (checkpoint.is_checkpoints, checkpoint.show_all),
    (saved_model.is_version, saved_model.show),
    (saved_model.is_export, saved_model.show_all),
)


#: Items shown where nobody says how many.
USUAL_LIMIT = 5


def inspect(
    path: Path,
    *,
    limit: int | None = None,
    offset: int = 0,
    rows: Sequence[int] = (),
    document: str | None = None,
) -> Iterator[str]:
    """Yields lines about `path`, whatever it is.

    Args:
        path: A run's folder, its corpus folder, a record shard, a file or folder of documents, a
            tokenizer, a checkpoint or the folder of all, an export version or the folder of all.
        limit: Most items shown: rows, documents, pieces, variables, signatures; None: five.
        offset: Items passed over first.
        rows: Of a checkpoint: says when it learnt from these rows of the training split instead.
        document: Of a run's folder: says what became of this document instead. Its text is shown
            where a limit is given.

    Raises:
        UserError: There is nothing of the kind, or it is damaged; names what can be inspected.
    """
    window = Window(offset, USUAL_LIMIT if limit is None else limit)
    if window.limit < 1 or offset < 0:
        raise UserError(
            f"--limit {window.limit} --offset {offset}: expected a limit of at least 1 and an"
            " offset of at least 0"
        )
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; {_KNOWN}")
    if rows:
        if not checkpoint.is_checkpoint(path):
            raise UserError(f"{path}: --row asks a checkpoint, checkpoints/step-…")
        yield from checkpoint.show_rows(path, rows)
        return
    if document is not None:
        yield from fate.show(path, document, window, texts=limit is not None)
        return
    for fits, show in KINDS:
        if fits(path):
            yield from show(path, window)
            return
    raise UserError(f"{path}: not a part of a run; {_KNOWN}")


_KNOWN = (
    "inspect a run's folder, its corpus/, *.tfrecord, documents (*.jsonl.gz or their folder),"
    " tokenizer.model, checkpoints/ or one of them, export/ or one of its versions"
)
