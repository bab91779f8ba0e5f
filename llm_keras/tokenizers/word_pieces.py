"""BERT's WordPiece: what is said in a `tokenizer.json`, checked.

A text is cleaned, cut at spaces and around punctuation, and each word is spelt with the longest
pieces from its start; a word that cannot be spelt is one unk. This loses spaces and, where the
file says so, case and accents: the text that comes back is not the text that went in.

References:
    Devlin et al. 2019, section 3; Wu et al. 2016, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_keras.tokenizers.tokenizer_json import TokenizerJson


@dataclass(frozen=True)
class WordPieces:
    """The settings of one WordPiece.

    Attributes:
        file: The file they are from.
        unknown: The piece for words that cannot be spelt.
        prefix: What a piece that goes on with a word begins with.
        longest_word: Characters of the longest word that is spelt; longer ones are unknown.
        lowercase: Whether case is dropped.
        strip_accents: Whether accents are dropped.
        clean_text: Whether control characters are dropped.
        isolate_chinese: Whether every Chinese character is a word.
    """

    file: TokenizerJson
    unknown: str
    prefix: str
    longest_word: int
    lowercase: bool
    strip_accents: bool
    clean_text: bool
    isolate_chinese: bool

    def piece_bytes(self) -> list[bytes]:
        """The bytes that each id adds to a text: a word has a space before it."""
        spelt = [b""] * self.file.vocabulary_size
        for piece, number in self.file.ids.items():
            goes_on = piece.startswith(self.prefix)
            spelt[number] = (piece.removeprefix(self.prefix) if goes_on else f" {piece}").encode()
        return spelt


def parse(file: TokenizerJson) -> WordPieces:
    """The settings of a file.

    Raises:
        UserError: It asks for what is not supported.
    """
    model, normalizer = file.content["model"], file.content.get("normalizer") or {}
    if normalizer.get("type") != "BertNormalizer":
        raise file.refuse(f"normalizer {normalizer.get('type')} with WordPiece", "BertNormalizer")
    pre_tokenizer = file.content.get("pre_tokenizer") or {}
    if pre_tokenizer.get("type") != "BertPreTokenizer":
        raise file.refuse(
            f"pre-tokenizer {pre_tokenizer.get('type')} with WordPiece", "BertPreTokenizer"
        )
    lowercase, accents = bool(normalizer["lowercase"]), normalizer.get("strip_accents")
    return WordPieces(
        file,
        unknown=model["unk_token"],
        prefix=model["continuing_subword_prefix"],
        longest_word=model["max_input_chars_per_word"],
        lowercase=lowercase,
        strip_accents=lowercase if accents is None else bool(accents),
        clean_text=bool(normalizer["clean_text"]),
        isolate_chinese=bool(normalizer["handle_chinese_chars"]),
    )
