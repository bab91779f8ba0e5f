"""The text that a tokenizer is trained on: a sample that depends on the documents alone."""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from llm_keras.errors import UserError

#: Characters of the longest piece of text handed to the trainer, which skips longer lines than it
#: is told to and ends the process at a word of more than 65,535 characters.
CHUNK_CHARACTERS = 4096
#: SentencePiece's own sign for an unknown piece: it skips a whole chunk that contains it.
UNKNOWN_SIGN = "\u2585"


class Sample(NamedTuple):
    """Texts in the order of the hash of their ids, and how much that is."""

    texts: list[str]
    size_bytes: int


def read_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Streams (id, text) of the curated training documents, both sides of a pair.

    Raises:
        UserError: There are none, or a file is damaged.
    """
    files = sorted(folder.glob("train-*.jsonl.gz"))
    if not files:
        raise UserError(f"{folder}: no curated documents; run `llm-keras curate` first")
    check_complete(files)
    for file in files:
        try:
            with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    document = json.loads(line)
                    yield document["id"], document["text"]
                    if document.get("target") is not None:
                        yield f"{document['id']} target", document["target"]
        except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
            raise UserError(
                f"{file}: damaged ({type(error).__name__}); run `llm-keras curate` again"
            ) from None


def check_complete(files: Sequence[Path]) -> None:
    """Checks that files named `...-of-00004...` are four.

    Raises:
        UserError: Some are missing, or left over; names folder, expected and found.
    """
    expected = {int(found[1]) for file in files if (found := re.search(r"-of-(\d+)", file.name))}
    if expected != {len(files)}:
        raise UserError(
            f"{files[0].parent}: expected {' or '.join(map(str, sorted(expected)))} files like"
            f" {files[0].name}, found {len(files)}; run `llm-keras curate` again"
        )


def take(documents: Iterable[tuple[str, str]], size_bytes: int) -> Sample:
    """Takes documents by the hash of their id until `size_bytes` of UTF-8 are reached.

    The last one is cut to fit. The order of the documents, and so the number of shards they come
    from, does not matter; memory is bounded by the sample and one document.
    """
    heap: list[tuple[int, str, bytes]] = []  # the greatest hash first: the next to give way
    total = 0
    for name, text in documents:
        content = text.encode("utf-8", "replace")[:size_bytes]
        heapq.heappush(heap, (-_hash(name), name, content))
        total += len(content)
        while total - len(heap[0][2]) >= size_bytes:
            total -= len(heapq.heappop(heap)[2])
    chosen = [content for _, _, content in sorted(heap, reverse=True)]
    excess = max(0, total - size_bytes)
    if excess:
        chosen[-1] = chosen[-1][: len(chosen[-1]) - excess]
    texts = [content.decode("utf-8", "ignore") for content in chosen]
    return Sample(texts, sum(len(text.encode()) for text in texts))


def chunks(texts: Iterable[str], characters: int = CHUNK_CHARACTERS) -> Iterator[str]:
    """Cuts texts into pieces that the trainer takes, before a space where there is one.

    Joined, the pieces of a text are the text, less the one sign that the trainer cannot see.

    >>> list(chunks(["a few words"], characters=6))
    ['a few', ' words']
    """
    for text in texts:
        start = 0
        while start < len(text):
            end = min(start + characters, len(text))
            if end < len(text):
                space = text.rfind(" ", start + 1, end + 1)
                end = space if space > start else end
            if piece := text[start:end].replace(UNKNOWN_SIGN, ""):
                yield piece
            start = end


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"tokenizer\0{name}".encode()).digest()[:8], "big")
