"""The bytes of one packed row: a `tf.train.Example` in TFRecord framing, without TensorFlow.

Every row of a corpus has exactly the same size, so row r of a shard starts at byte
`r * record_bytes` and a million rows are one NumPy array of records:

    length   uint64   bytes of the payload, always the same
    crc      uint32   masked CRC-32C of `length`
    payload           Example {features {"positions", "segments", "tokens": bytes_list}}
    crc      uint32   masked CRC-32C of the payload

The three columns are little-endian integers of types that `tf.io.decode_raw` knows (it has no
uint32), so that any TensorFlow program reads a row, with `tf.io.parse_single_example` before it.

References:
    tensorflow/core/lib/io/record_writer.h (framing), tensorflow/core/example/example.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import google_crc32c
import numpy as np

#: Bytes before and after the payload.
HEADER_BYTES, FOOTER_BYTES = 12, 4
_MASK = 0xA282EAD8


class RecordLayout:
    """Where everything lies in a record.

    Args:
        sequence_length: T, tokens the model sees at once; a row holds T + 1.
        vocabulary_size: Token ids are below it; above 65,536 they take four bytes, else two.

    Attributes:
        columns: Column -> NumPy type, in the order of the payload.
        record_bytes: Bytes of one record in the file, framing included.
        dtype: NumPy type of one record: the columns by name, all other bytes constant or CRC.
    """

    def __init__(self, sequence_length: int, vocabulary_size: int) -> None:
        self.row_tokens = sequence_length + 1
        wide = vocabulary_size > 2**16
        # Sorted by name, as TensorFlow writes them when asked for deterministic bytes.
        self.columns = {
            "positions": "uint16",
            "segments": "uint16",
            "tokens": "int32" if wide else "uint16",
        }
        self._heads = self._make_heads()
        fields: list[tuple[str, str, tuple[int, ...]]] = [("header", "u1", (HEADER_BYTES,))]
        for name, kind in self.columns.items():
            fields.append((f"head_{name}", "u1", (len(self._heads[name]),)))
            fields.append((name, np.dtype(kind).newbyteorder("<").str, (self.row_tokens,)))
        fields.append(("crc", "<u4", ()))
        self.dtype = np.dtype(fields)
        self.record_bytes = self.dtype.itemsize
        self.payload_bytes = self.record_bytes - HEADER_BYTES - FOOTER_BYTES
        length = struct.pack("<Q", self.payload_bytes)
        self.header = length + struct.pack("<I", masked_crc(length))

    def encode(self, rows: Mapping[str, np.ndarray]) -> bytes:
        """Makes the records of `rows`: each column an integer array [n, T + 1]."""
        records = np.zeros(len(rows["tokens"]), self.dtype)
        records["header"] = np.frombuffer(self.header, np.uint8)
        for name, head in self._heads.items():
            records[f"head_{name}"] = np.frombuffer(head, np.uint8)
            records[name] = rows[name]
        records["crc"] = self.payload_crcs(records)
        return records.tobytes()

    def decode(self, records: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of an array of records [n], as int32 [n, T + 1]. Checks nothing."""
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
        for name, kind in self.columns.items():
            size = self.row_tokens * np.dtype(kind).itemsize
            value = _tag(1, size)  # BytesList.value
            feature = _tag(1, len(value) + size) + value  # Feature.bytes_list
            entry = _tag(1, len(name)) + name.encode() + _tag(2, len(feature) + size) + feature
            features[name] = _tag(1, len(entry) + size) + entry  # Features.feature
        total = sum(
            len(head) + self.row_tokens * np.dtype(self.columns[name]).itemsize
            for name, head in features.items()
        )
        first = next(iter(features))
        features[first] = _tag(1, total) + features[first]  # Example.features
        return features


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
