"""Which rows hold which document: `corpus/index/<shard>.arrow`, one file for each shard.

    id  copy  source  licence  text_bytes  given    of the document
    split  shard  row  first_token  tokens  start   of a part of it

A document that is cut, or trained on more than once, has several entries. `first_token` is the
place in the row where the part begins, `start` the place in the document; of parts of one document
the last token is the first of the next. Of pairs the parts are the targets, and `given` is the
tokens of the source.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from llm_keras.data.packing import Parts

FOLDER = "index"
_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("copy", pa.uint16()),
        ("source", _NAME),
        ("licence", _NAME),
        ("text_bytes", pa.uint64()),
        ("given", pa.uint32()),
        ("split", _NAME),
        ("shard", _NAME),
        ("row", pa.uint32()),
        ("first_token", pa.uint32()),
        ("tokens", pa.uint32()),
        ("start", pa.uint32()),
    ]
)
_OF_DOCUMENT = ("id", "copy", "source", "licence", "text_bytes", "given")


def file_name(shard: str) -> str:
    """The index of a shard, below the corpus.

    >>> file_name("train-00000-of-00004.tfrecord")
    'index/train-00000-of-00004.arrow'
    """
    return f"{FOLDER}/{Path(shard).stem}.arrow"


def build(shard: str, documents: Any, parts: Parts) -> Any:
    """The index of a shard.

    Args:
        shard: Its file.
        documents: Table with the columns of a document, in the order of the shard.
        parts: Where their tokens lie.
    """
    columns: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    chosen = pa.array(parts.document)
    for name in _OF_DOCUMENT:
        column = documents.column(name).combine_chunks().take(chosen)
        is_name = SCHEMA.field(name).type == _NAME
        columns[name] = column.dictionary_encode() if is_name else column
    count = len(parts.document)
    for name, value in (("split", shard.partition("-")[0]), ("shard", shard)):
        zeros = pa.array(np.zeros(count, np.int32))
        columns[name] = pa.DictionaryArray.from_arrays(zeros, pa.array([value]))
    for name in ("row", "first_token", "tokens", "start"):
        columns[name] = pa.array(getattr(parts, name).astype(np.uint32))
    return pa.table(list(columns.values()), schema=SCHEMA).combine_chunks()


def encode(table: Any) -> bytes:
    """The content of an index file; the same for the same table."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=True)
    with pa.ipc.new_file(sink, SCHEMA, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def decode(content: bytes) -> Any:
    """The index of one shard, as an Arrow table."""
    return pa.ipc.open_file(content).read_all()


def parts_of(table: Any) -> Parts:
    """Where the tokens lie, as `build` was given it."""
    columns = {name: table.column(name).to_numpy().astype(np.int64) for name in SCHEMA.names[8:]}
    begins = columns["start"] == 0
    # A document whose first token two rows share begins in both; none has a single token.
    begins[1:] &= ~(begins[:-1] & (columns["tokens"][:-1] == 1))
    document = np.cumsum(begins) - 1
    return Parts(document, *(columns[name] for name in ("start", "tokens", "row", "first_token")))
