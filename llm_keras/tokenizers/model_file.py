"""Takes the names of temporary files out of a trained SentencePiece model.

The trainer notes the paths of its rule files in the model. They say nothing about the tokenizer
and would make the bytes of two equal trainings differ. A model is a Protocol Buffers message; its
generated classes need a newer runtime than TensorFlow's, so the few bytes are read here.

References:
    https://protobuf.dev/programming-guides/encoding and sentencepiece_model.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

NORMALIZER, DENORMALIZER = 3, 5  # fields of ModelProto
RULE_FILE = 6  # field of NormalizerSpec
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def without_rule_files(model: bytes) -> bytes:
    """The same model without the paths of the rule files."""
    result = b""
    for field, raw, content in _fields(model):
        if field in (NORMALIZER, DENORMALIZER):
            kept = b"".join(inner for number, inner, _ in _fields(content) if number != RULE_FILE)
            result += _varint(field << 3 | BYTES) + _varint(len(kept)) + kept
        else:
            result += raw
    return result


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each field as (number, all its bytes, content of a length-delimited one)."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        content = b""
        if tag & 7 == VARINT:
            _, at = _read_varint(message, at)
        elif tag & 7 == BYTES:
            size, at = _read_varint(message, at)
            content = message[at : at + size]
            at += size
        else:
            at += {FIXED64: 8, FIXED32: 4}[tag & 7]
        yield tag >> 3, message[start:at], content


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])
