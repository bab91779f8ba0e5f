"""Trains the tokenizer of a run from its curated training documents."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import sentencepiece

from llm_keras import files
from llm_keras.config import Run, Tokenizer
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import escapes, model_file, sample
from llm_keras.tokenizers.sentence_piece import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    UNK_ID,
    SentencePieceTokenizer,
)

#: Parts that the expectation step is summed in: the sums, and so the model, depend on their
#: number, so it is fixed and not taken from the machine.
THREADS = 4
#: Text that the figure of bytes a token is measured on.
MEASURED_BYTES = 2_000_000


def train_tokenizer(run: Run, folder: RunFolder) -> None:
    """Writes `tokenizer/tokenizer.model` and, beside it, `about.json`.

    The model is a function of the documents and of `run.tokenizer`: the same bytes on every run.
    Both files are complete or absent.

    Raises:
        UserError: No text, or a vocabulary that the corpus does not support.
    """
    settings = run.tokenizer
    text = sample.take(sample.read_texts(folder.documents), settings.sample_bytes)
    if not text.size_bytes:
        raise UserError(
            f"{folder.documents}: no text in the training documents, so no tokenizer;"
            " look at the rules under corpus that dropped them"
        )
    model = train(text.texts, settings)
    target = folder.tokenizer_model
    target.parent.mkdir(parents=True, exist_ok=True)
    about = describe(model, text, settings)
    folder.tokenizer_about.unlink(missing_ok=True)
    _write(target, model)
    _write(folder.tokenizer_about, json.dumps(about, indent=1).encode() + b"\n")


def train(texts: Sequence[str], settings: Tokenizer) -> bytes:
    """Trains a SentencePiece model on `texts` and returns the content of its file."""
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        normalise, denormalise = escapes.write_rules(Path(folder))
        try:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=sample.chunks(texts),
                model_writer=model,
                model_type=settings.kind,
                vocab_size=settings.vocabulary_size,
                character_coverage=settings.character_coverage,
                user_defined_symbols=list(settings.user_symbols),
                pad_id=PAD_ID,
                unk_id=UNK_ID,
                bos_id=BOS_ID,
                eos_id=EOS_ID,
                # Lossless: every text comes back as it was.
                byte_fallback=True,
                normalization_rule_tsv=str(normalise),
                denormalization_rule_tsv=str(denormalise),
                remove_extra_whitespaces=False,
                add_dummy_prefix=False,
                allow_whitespace_only_pieces=True,
                max_sentence_length=4 * sample.CHUNK_CHARACTERS,  # bytes of UTF-8
                num_threads=THREADS,
                minloglevel=2,  # errors come as exceptions
            )
        except RuntimeError as error:
            _explain(str(error), settings)
    return model_file.finish(model.getvalue())


def describe(model: bytes, text: sample.Sample, settings: Tokenizer) -> dict[str, object]:
    """What `about.json` says: identity, settings, sample, and the length of a token."""
    return {
        "format": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "settings": settings.model_dump(mode="json"),
        "sample": {"documents": len(text.texts), "bytes": text.size_bytes},
        "bytes_per_token": round(bytes_per_token(SentencePieceTokenizer(model), text.texts), 4),
    }


def bytes_per_token(tokenizer: SentencePieceTokenizer, texts: Iterable[str]) -> float:
    """UTF-8 bytes that one id stands for, on the first two million bytes of `texts`."""
    size = tokens = 0
    for text in texts:
        size += len(text.encode())
        tokens += len(tokenizer.encode(text))
        if size >= MEASURED_BYTES:
            break
    return size / tokens


def _explain(message: str, settings: Tokenizer) -> NoReturn:
    """Says in our words what the trainer found wrong; its own text may quote documents."""
    asked = settings.vocabulary_size
    if found := re.search(r"Vocabulary size too high.*value <= (\d+)", message):
        raise UserError(
            f"tokenizer.vocabulary_size {asked}: the training text supports at most"
            f" {found[1]}; lower it to that, or add text"
        ) from None
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        raise UserError(
            f"tokenizer.vocabulary_size {asked}: the characters of the training text alone need"
            f" {found[1]}; raise it to that, or lower tokenizer.character_coverage"
            f" {settings.character_coverage}"
        ) from None
    if "sentences_.empty()" in message or "(all_chars_count) > (0)" in message:
        raise UserError("the training documents hold no text that a tokenizer can learn") from None
    raise RuntimeError(f"SentencePiece could not train: {message}") from None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the machine stops in the middle."""
    try:
        files.write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
