"""The bytes of one row: a `tf.train.Example` in TFRecord framing, without TensorFlow.

Every row of a shard has exactly the same size, so row r of it starts at byte
`r * record_bytes` and a million rows are one NumPy array of records:

    length   uint64   bytes of the payload, always the same
    crc      uint32   masked CRC-32C of `length`
    payload           Example {features {"positions", "segments", "tokens": bytes_list}}
    crc      uint32   masked CRC-32C of the payload

Rows are of three kinds. `packed` holds documents one after the other (see `packing`); `answers` has
one more column, `answers`; `pairs` holds a text and its translation, each filled up (see `pairs`),
in the columns `lengths`, `source` and `tokens`.

The columns are little-endian integers of types that `tf.io.decode_raw` knows (it has no uint32), so
that any TensorFlow program reads a row, with `tf.io.parse_single_example` before it.

References:
    tensorflow/core/lib/io/record_writer.h (framing), tensorflow/core/example/example.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Literal

import google_crc32c
import numpy as np

#: Bytes before and after the payload.
HEADER_BYTES, FOOTER_BYTES = 12, 4
RowKind = Literal["packed", "answers", "pairs"]
_MASK = 0xA282EAD8


class RecordLayout:
    """Where everything lies in a record.

    Args:
        sequence_length: T, tokens the model sees at once; a row holds T + 1.
        vocabulary_size: Token ids are below it; above 65,536 they take four bytes, else two.
        kind: Of the rows.

    Attributes:
        columns: Column -> NumPy type, in the order of the payload.
        widths: Column -> values of a row.
        record_bytes: Bytes of one record in the file, framing included.
        dtype: NumPy type of one record: the columns by name, all other bytes constant or CRC.
    """

    def __init__(
        self, sequence_length: int, vocabulary_size: int, kind: RowKind = "packed"
    ) -> None:
        self.row_tokens, self.kind = sequence_length + 1, kind
        ids = "int32" if vocabulary_size > 2**16 else "uint16"
        # Sorted by name, as TensorFlow writes them when asked for deterministic bytes.
        self.columns = {"positions": "uint16", "segments": "uint16", "tokens": ids}
        self.widths = dict.fromkeys(self.columns, self.row_tokens)
        if kind == "answers":
            self.columns = {"answers": "uint8", **self.columns}
            self.widths["answers"] = self.row_tokens
        elif kind == "pairs":
            self.columns = {"lengths": "int32", "source": ids, "tokens": ids}
            self.widths = {"lengths": 2, "source": sequence_length, "tokens": self.row_tokens}
        self._heads = self._make_heads()
        fields: list[tuple[str, str, tuple[int, ...]]] = [("header", "u1", (HEADER_BYTES,))]
        for name, type_ in self.columns.items():
            fields.append((f"head_{name}", "u1", (len(self._heads[name]),)))
            fields.append((name, np.dtype(type_).newbyteorder("<").str, (self.widths[name],)))
        fields.append(("crc", "<u4", ()))
        self.dtype = np.dtype(fields)
        self.record_bytes = self.dtype.itemsize
        self.payload_bytes = self.record_bytes - HEADER_BYTES - FOOTER_BYTES
        length = struct.pack("<Q", self.payload_bytes)
        self.header = length + struct.pack("<I", masked_crc(length))

    def encode(self, rows: Mapping[str, np.ndarray]) -> bytes:
        """Makes the records of `rows`: each column an integer array [n, its width]."""
        records = np.zeros(len(rows["tokens"]), self.dtype)
        records["header"] = np.frombuffer(self.header, np.uint8)
        for name, head in self._heads.items():
            records[f"head_{name}"] = np.frombuffer(head, np.uint8)
            records[name] = rows[name]
        records["crc"] = self.payload_crcs(records)
        return records.tobytes()

    def decode(self, records: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of an array of records [n], as int32 [n, its width]. Checks nothing."""
        return {name: records[name].astype(np.int32) for name in self.columns}

    def payload_crcs(self, records: np.ndarray) -> np.ndarray:
        """The masked CRC-32C that each payload should have: uint32 [n]."""
        raw = records.tobytes()
        size = self.record_bytes
        return np.fromiter(
            (
                masked_crc(raw[at + HEADER_BYTES : at + size - FOOTER_BYTES])
                for at in range(0, len(raw), size)
            ),
            np.uint32,
            len(records),
        )

    def is_header(self, records: np.ndarray) -> np.ndarray:
        """Whether each record starts as it must: bool [n]."""
        return np.asarray((records["header"] == np.frombuffer(self.header, np.uint8)).all(axis=1))

    def is_example(self, records: np.ndarray) -> np.ndarray:
        """Whether the bytes between the columns are those of this layout: bool [n]."""
        right = np.ones(len(records), bool)
        for name, head in self._heads.items():
            right &= (records[f"head_{name}"] == np.frombuffer(head, np.uint8)).all(axis=1)
        return right

    def _make_heads(self) -> dict[str, bytes]:
        """The bytes before each column: tags, sizes and the name."""
        features = {}
        for name in self.columns:
            size = self._size(name)
            value = _tag(1, size)  # BytesList.value
            feature = _tag(1, len(value) + size) + value  # Feature.bytes_list
            entry = _tag(1, len(name)) + name.encode() + _tag(2, len(feature) + size) + feature
            features[name] = _tag(1, len(entry) + size) + entry  # Features.feature
        total = sum(len(head) + self._size(name) for name, head in features.items())
        first = next(iter(features))
        features[first] = _tag(1, total) + features[first]  # Example.features
        return features

    def _size(self, name: str) -> int:
        """Bytes of a column in one record."""
        return self.widths[name] * np.dtype(self.columns[name]).itemsize


def masked_crc(content: bytes) -> int:
    """CRC-32C, rotated and offset as TFRecord does, so that a CRC of CRCs stays a good check."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def _tag(field: int, size: int) -> bytes:
    """Start of a length-delimited Protocol Buffers field with `size` bytes of content."""
    result = bytearray([field << 3 | 2])
    while size >= 0x80:
        result.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*result, size])
