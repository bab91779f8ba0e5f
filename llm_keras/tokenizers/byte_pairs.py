"""Byte-level BPE: what is said in a `tokenizer.json`, checked, as tables.

A text is cut into words by regular expressions, a word's bytes are the first symbols, and the pair
of neighbours that comes first in the list of merges is joined until there is none in the list.

References:
    Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.2.
    Sennrich, Haddow and Birch 2016, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llm_keras.tokenizers.tokenizer_json import TokenizerJson

#: How texts are cut into words, by model. Each expression finds every word and every space.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
#: Every digit on its own, before the words are looked for (StarCoder, SmolLM2).
DIGIT, DIGITS = r"\p{N}", r"\p{N}+"
WORDS = (GPT2, LLAMA3, QWEN2)

#: In the list of steps: a part of the text that does not begin with a space gets one.
ADD_SPACE = " "


@dataclass(frozen=True)
class BytePairs:
    """The tables of one byte-level BPE.

    Attributes:
        file: The file they are from.
        composes: Whether texts are brought into Unicode's form NFC first (Qwen 2).
        steps: Expressions that cut a text, one after the other, and `ADD_SPACE`.
        byte_ids: The id of each byte; -1 for bytes that the vocabulary lacks, which are left out
            of a text as the file's own readers do.
        merges: (left, right, joined) ids, the first to be joined first.
        whole_words: Whether a word that is a piece becomes it at once (Llama 3).
    """

    file: TokenizerJson
    composes: bool
    steps: tuple[str, ...]
    byte_ids: tuple[int, ...]
    merges: tuple[tuple[int, int, int], ...]
    whole_words: bool

    def piece_bytes(self) -> list[bytes]:
        """The bytes that each id adds to a text; special ids add none."""
        spelt = [b""] * self.file.vocabulary_size
        for piece, number in self.file.ids.items():
            spelt[number] = piece.encode() if piece in self.file.cut_out else spell(piece)
        return spelt


def byte_alphabet() -> list[str]:
    """The character that stands for each byte in a file: itself if it can be seen.

    >>> alphabet = byte_alphabet()
    >>> alphabet[ord("a")], alphabet[ord(" ")]
    ('a', 'Ġ')
    """
    seen = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)}
    others = iter(range(0x100, 0x200))
    return [chr(value if value in seen else next(others)) for value in range(256)]


_BYTE = {character: value for value, character in enumerate(byte_alphabet())}


def spell(piece: str) -> bytes:
    """The bytes of a piece; one with a character of no byte stands for itself.

    >>> spell("Ġthe")
    b' the'
    """
    if all(character in _BYTE for character in piece):
        return bytes(_BYTE[character] for character in piece)
    return piece.encode()


def parse(file: TokenizerJson) -> BytePairs:
    """The tables of a file.

    Raises:
        UserError: It is another BPE than byte-level, or asks for what is not supported.
    """
    model = file.content["model"]
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(setting):
            raise file.refuse(f"BPE with {setting}", "byte-level BPE, as GPT-2's")
    normalizer = file.content.get("normalizer")
    composes = normalizer is not None and normalizer.get("type") == "NFC"
    if normalizer is not None and not composes:
        raise file.refuse(f"normalizer {normalizer.get('type')}", "none or NFC")
    steps = _steps(file, file.content.get("pre_tokenizer"))
    alphabet = byte_alphabet()
    return BytePairs(
        file,
        composes,
        steps,
        byte_ids=tuple(_byte_id(file, character) for character in alphabet),
        merges=_merges(file),
        whole_words=bool(model.get("ignore_merges")),
    )


def _steps(file: TokenizerJson, pre_tokenizer: Any) -> tuple[str, ...]:
    """The steps of a pre-tokenizer; the last one must be the translation of bytes."""
    parts = [pre_tokenizer or {}]
    if parts[0].get("type") == "Sequence":
        parts = parts[0]["pretokenizers"]
    if parts[-1].get("type") != "ByteLevel":
        raise file.refuse(f"pre-tokenizer {parts[-1].get('type')}", "ByteLevel, as GPT-2's")
    return tuple(step for part in parts for step in _step(file, part))


def _step(file: TokenizerJson, part: Any) -> tuple[str, ...]:
    match part:
        case {"type": "ByteLevel"}:
            space = (ADD_SPACE,) if part.get("add_prefix_space") else ()
            return (*space, GPT2) if part.get("use_regex", True) else space
        case {"type": "Digits"}:
            return (DIGIT if part.get("individual_digits") else DIGITS,)
        case {"type": "Split", "pattern": {"Regex": pattern}} if pattern in (*WORDS, DIGIT, DIGITS):
            kept = (part.get("behavior"), bool(part.get("invert")))
            if kept == ("Isolated", False) or (kept == ("Removed", True) and pattern in WORDS):
                return (pattern,)
            raise file.refuse(f"pre-tokenizer Split with behavior {kept[0]}", "Isolated")
        case {"type": "Split"}:
            raise file.refuse(
                "pre-tokenizer Split with this expression", "that of GPT-2, Llama 3 or Qwen 2"
            )
    raise file.refuse(f"pre-tokenizer {part.get('type')}", "ByteLevel, Digits or Split")


def _byte_id(file: TokenizerJson, character: str) -> int:
    if character in file.ids:
        return file.ids[character]
    return _unknown_id(file)


def _unknown_id(file: TokenizerJson) -> int:
    unk = file.content["model"].get("unk_token")
    if not unk:
        return -1
    if file.content["model"].get("fuse_unk"):
        raise file.refuse("BPE with fuse_unk", "all 256 bytes in the vocabulary, or no unk_token")
    return file.special[unk] if unk in file.special else file.ids[unk]


def _merges(file: TokenizerJson) -> tuple[tuple[int, int, int], ...]:
    """The merges as ids; each must come before all that go on with what it makes.

    Joining all places of a pair at once, as the graph does, is then the same as one at a time.
    """
    pairs = [m.split(" ") if isinstance(m, str) else m for m in file.content["model"]["merges"]]
    made: dict[str, int] = {}
    used: dict[str, int] = {}
    for rank, (left, right) in enumerate(pairs):
        missing = [piece for piece in (left, right, left + right) if piece not in file.ids]
        if missing:
            raise file.refuse(f"a merge with {missing[0]!r}", "merges of ordinary pieces only")
        made[left + right] = rank
        used.setdefault(left, rank)
        used.setdefault(right, rank)
    late = next((piece for piece, rank in made.items() if used.get(piece, rank) < rank), None)
    if late is not None:
        raise file.refuse(f"a merge that uses {late!r} before it is made", "merges in their order")
    return tuple((file.ids[a], file.ids[b], file.ids[a + b]) for a, b in pairs)
