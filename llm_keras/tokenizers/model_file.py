"""Reads, finishes and writes the bytes of a SentencePiece model file.

A model is a Protocol Buffers message. Its generated classes need a newer runtime than TensorFlow's,
so the few fields that matter here are read and written by hand.

References:
    https://protobuf.dev/programming-guides/encoding and sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

# Fields of ModelProto, of its NormalizerSpec, TrainerSpec and SentencePiece.
PIECES, TRAINER, NORMALIZER, DENORMALIZER = 1, 2, 3, 5
RULES, RULE_FILE = 2, 6
MODEL_TYPE, UNIGRAM, BPE = 3, 1, 2
BYTE_FALLBACK = 35
ID = {"unk": 40, "bos": 41, "eos": 42, "pad": 43}
NAME, SPACE_IN_FRONT, FEWER_SPACES, MARK_SPACES = 1, 3, 4, 5
TEXT, SCORE, TYPE = 1, 2, 3
NORMAL, USER_DEFINED = 1, 4
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types

#: Scores of a unigram model are multiples of this, see `segments`.
SCORE_STEP = 2.0**-10


class Field(NamedTuple):
    """One field of a message: its number, its value, and all its bytes."""

    number: int
    value: int | bytes
    raw: bytes


def finish(model: bytes) -> bytes:
    """Makes a trained model the one that is kept.

    Takes out the paths of the rule files, which the trainer notes down: they say nothing about the
    tokenizer and would make the bytes of two equal trainings differ. Rounds the scores of a unigram
    model, so that every reader adds them up without rounding.
    """
    for spec in (NORMALIZER, DENORMALIZER):
        model = _edit(model, spec, lambda content: _without(content, RULE_FILE))
    return _edit(model, PIECES, _round_score) if is_unigram(model) else model


def piece(text: bytes, score: float, kind: int) -> bytes:
    """One piece as the model file holds it."""
    content = _field(TEXT, text) + _tag(SCORE, FIXED32) + struct.pack("<f", score)
    return _field(PIECES, content + _number(TYPE, kind))


def bpe(pieces: Iterable[bytes], special_ids: Mapping[str, int], space_in_front: bool) -> bytes:
    """A BPE model that spells with bytes what has no piece, and normalises nothing.

    Args:
        pieces: What `piece` gave, in the order of their ids.
        special_ids: The ids of unk, bos, eos, pad; -1 for none.
        space_in_front: Whether a text gets a space in front, which decoding takes away.
    """
    trainer = _number(MODEL_TYPE, BPE) + _number(BYTE_FALLBACK, 1)
    trainer += b"".join(_number(ID[role], number) for role, number in special_ids.items())
    normalizer = _field(NAME, b"identity") + _number(SPACE_IN_FRONT, space_in_front)
    normalizer += _number(FEWER_SPACES, 0) + _number(MARK_SPACES, 1)
    return b"".join(pieces) + _field(TRAINER, trainer) + _field(NORMALIZER, normalizer)


def is_unigram(model: bytes) -> bool:
    """Whether pieces are chosen by the sum of their scores, and not by merges."""
    trainer = next(field.value for field in _fields(model) if field.number == TRAINER)
    assert isinstance(trainer, bytes)
    kinds = [field.value for field in _fields(trainer) if field.number == MODEL_TYPE]
    return not kinds or kinds[-1] == UNIGRAM


def is_escaped(model: bytes) -> bool:
    """Whether the model has rules on the way out, as `escapes` gives to those trained here."""
    return any(
        field.number == DENORMALIZER
        and isinstance(field.value, bytes)
        and any(inner.number == RULES and inner.value for inner in _fields(field.value))
        for field in _fields(model)
    )


def user_symbols(model: bytes) -> list[str]:
    """The strings that are always one piece."""
    symbols = []
    for field in _fields(model):
        if field.number == PIECES and isinstance(field.value, bytes):
            piece = {inner.number: inner.value for inner in _fields(field.value)}
            if piece.get(TYPE) == USER_DEFINED:
                text = piece[TEXT]
                assert isinstance(text, bytes)
                symbols.append(text.decode())
    return symbols


def _round_score(piece: bytes) -> bytes:
    result = b""
    for field in _fields(piece):
        if field.number == SCORE:
            (score,) = struct.unpack("<f", field.raw[1:])
            rounded = round(score / SCORE_STEP) * SCORE_STEP
            result += field.raw[:1] + struct.pack("<f", rounded)
        else:
            result += field.raw
    return result


def _without(message: bytes, number: int) -> bytes:
    return b"".join(field.raw for field in _fields(message) if field.number != number)


def _edit(message: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    """The message with `change` made to each length-delimited field of that number."""
    parts = []
    for field in _fields(message):
        if field.number == number and isinstance(field.value, bytes):
            parts.append(_field(number, change(field.value)))
        else:
            parts.append(field.raw)
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[Field]:
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        value: int | bytes
        match tag & 7:
            case 0:
                value, at = _read_varint(message, at)
            case 2:
                size, at = _read_varint(message, at)
                value, at = message[at : at + size], at + size
            case wire_type:
                size = {FIXED64: 8, FIXED32: 4}[wire_type]
                value, at = message[at : at + size], at + size
        yield Field(tag >> 3, value, message[start:at])


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _field(number: int, content: bytes) -> bytes:
    return _tag(number, BYTES) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    """An integer field; a negative one is written as its 64-bit two's complement."""
    return _tag(number, VARINT) + _varint(value % 2**64)


def _varint(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])
