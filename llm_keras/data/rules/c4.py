"""C4's heuristics: lines that are no sentence go, pages with code or filler text go whole.

References:
    Raffel et al. 2020, Exploring the Limits of Transfer Learning, section 2.2; what the paper
    leaves open is as in TensorFlow Datasets (`text/c4_utils.py`) and datatrove 0.10.1.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from llm_keras import config
from llm_keras.data.rules.marks import SENTENCE_ENDS
from llm_keras.data.rules.verdict import KEEP, Verdict, drop
from llm_keras.data.rules.words import split_words

#: Reasons a page is dropped for, and those a line is.
PAGE_REASONS = ("too_many_characters", "lorem_ipsum", "curly_bracket", "too_few_sentences")
LINE_REASONS = ("blank", "long_word", "no_end_mark", "short", "javascript", "policy")
_CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
_END_MARKS = (".", "?", "!", '"')
_POLICY = re.compile(r"terms of use|privacy policy|cookie policy|uses? cookies|use of cookies")
_ODD_SPACE = re.compile(r"[^\S ]| {2,}")


class Cleaned(NamedTuple):
    """What is left of a page.

    Args:
        text: Its lines that are kept, stripped, without citations; of a dropped page, as it was.
        removed: Reason -> lines removed.
        verdict: Whether the page stays.
    """

    text: str
    removed: Counter[str]
    verdict: Verdict


def clean_page(text: str, settings: config.C4) -> Cleaned:
    """Removes lines, then judges what is left of the page.

    Args:
        text: The page.
        settings: Which heuristics, with which limits.

    Differs from the source: a line that ends in an apostrophe ends no sentence (datatrove has it
        among the end marks, the paper has not); the words of a line are counted before citations
        are taken out, as datatrove counts them, not after.
    """
    removed: Counter[str] = Counter()
    if settings.maximum_characters is not None and len(text) > settings.maximum_characters:
        detail = f"{len(text)} > {settings.maximum_characters}"
        return Cleaned(text, removed, drop("too_many_characters", detail))
    kept: list[str] = []
    sentences = 0
    suspect = _is_suspect(text.lower())
    for raw in text.splitlines():
        line = raw.strip()
        if not line and (settings.end_punctuation or settings.minimum_words_a_line):
            removed["blank"] += 1
            continue
        num_words = len(raw.split())
        line = _CITATION.sub("", line) if "[" in line else line
        fate = _line_fate(raw, line, num_words, settings)
        if not fate and suspect:
            fate = _content_fate(line, settings)
        if fate in PAGE_REASONS:
            return Cleaned(text, removed, drop(fate))
        if fate:
            removed[fate] += 1
            continue
        kept.append(line)
        if sentences < settings.minimum_sentences:
            sentences += count_sentences(line)
    if sentences < settings.minimum_sentences:
        detail = f"{sentences} < {settings.minimum_sentences}"
        return Cleaned(text, removed, drop("too_few_sentences", detail))
    return Cleaned("\n".join(kept).strip(), removed, KEEP)


def _line_fate(raw: str, line: str, num_words: int, settings: config.C4) -> str:
    """Why a line is removed for its form; empty where it stays. The order is the sources'."""
    longest = settings.maximum_word_characters
    if len(raw) > longest and max(map(len, raw.split())) > longest:
        return "long_word"
    if settings.end_punctuation and not _ends_a_sentence(line):
        return "no_end_mark"
    return "short" if num_words < settings.minimum_words_a_line else ""


def _content_fate(line: str, settings: config.C4) -> str:
    """Why a line, or its page, goes for what it says; empty where it stays."""
    small = line.lower()
    if settings.drop_lorem_ipsum and "lorem ipsum" in small:
        return "lorem_ipsum"
    if settings.drop_javascript_lines and "javascript" in small:
        return "javascript"
    if settings.drop_curly_brackets and "{" in line:
        return "curly_bracket"
    return "policy" if settings.drop_policy_lines and _POLICY.search(small) else ""


def _is_suspect(text: str) -> bool:
    """Whether any line can go for what it says: of most pages none can."""
    return (
        "{" in text
        or "javascript" in text
        or "lorem ipsum" in text
        or _POLICY.search(text) is not None
    )


def _ends_a_sentence(line: str) -> bool:
    return line.endswith(_END_MARKS) and not line.endswith("...")


def count_sentences(line: str) -> int:
    """Sentences of a line: an end mark, and something after it that is no punctuation.

    >>> count_sentences('He said: "Stop!" The U.S. did. Did they?')
    3

    References:
        spaCy 3.8, `Sentencizer`, over the words that `words` has.
    """
    # White space that is more than one blank is a word of its own there, and begins a sentence.
    parts = _ODD_SPACE.split(line) if _ODD_SPACE.search(line) else [line]
    count, ended = int(bool(parts[0])), False
    for number, part in enumerate(parts):
        if number and ended:
            count, ended = count + 1, False
        for word in split_words(part):
            if word in SENTENCE_ENDS:
                ended = True
            elif ended and not _is_punctuation(word):
                count, ended = count + 1, False
    return max(count, 1)


def _is_punctuation(word: str) -> bool:
    return not word[0].isalnum() and all(unicodedata.category(each)[0] == "P" for each in word)
