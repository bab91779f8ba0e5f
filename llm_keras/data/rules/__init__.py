"""Pure rules about documents: text in, `(keep, reason, detail)` out.

A rule knows nothing of Beam, files or counting; `pipelines.apply_rules` does that once for all.
A new rule is a function in a file here and a row in `rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llm_keras import config
from llm_keras.data.rules import language, length, repetition
from llm_keras.data.rules.language import Identified
from llm_keras.data.rules.text_view import TextView
from llm_keras.data.rules.verdict import KEEP, Verdict, drop

__all__ = ["KEEP", "Identified", "Rule", "TextView", "Verdict", "drop", "rules"]


class Rule(NamedTuple):
    """A rule with its settings filled in."""

    name: str
    judge: Callable[[TextView], Verdict]


def rules(corpus: config.Corpus) -> list[Rule]:
    """The rules that `corpus` asks for, cheap ones first: the first to drop gives the reason."""
    chosen = [Rule("not_empty", lambda view: length.not_empty(view.text))]
    if corpus.length is not None:
        chosen += _length_rules(corpus.length)
    if corpus.repetition is not None:
        chosen += _repetition_rules(corpus.repetition)
    if corpus.language is not None and corpus.language.keep:
        chosen.append(_language_rule(corpus.language))
    return chosen


def _length_rules(settings: config.Length) -> list[Rule]:
    fewest, most = settings.minimum_words, settings.maximum_words
    low, high = settings.minimum_mean_word_length, settings.maximum_mean_word_length
    return [
        Rule("word_count", lambda view: length.word_count(view.words, fewest, most)),
        Rule(
            "mean_word_length",
            lambda view: length.mean_word_length(view.word_characters, len(view.words), low, high),
        ),
    ]


def _repetition_rules(settings: config.Repetition) -> list[Rule]:
    return [
        Rule(
            "repeated_lines",
            lambda view: repetition.repeated_parts(
                "line",
                view.lines,
                settings.duplicate_lines,
                settings.duplicate_line_characters,
            ),
        ),
        Rule(
            "repeated_paragraphs",
            lambda view: repetition.repeated_parts(
                "paragraph",
                view.paragraphs,
                settings.duplicate_paragraphs,
                settings.duplicate_paragraph_characters,
            ),
        ),
        Rule(
            "repeated_ngrams",
            lambda view: repetition.repeated_ngrams(
                view.words,
                settings.top_ngram_characters,
                settings.duplicate_ngram_characters,
            ),
        ),
    ]


def _language_rule(settings: config.Language) -> Rule:
    keep, score = frozenset(settings.keep), settings.minimum_score
    return Rule("language", lambda view: language.wanted_language(view.language, keep, score))
