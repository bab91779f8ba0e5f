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
    """A rule with its settings filled in.

    Args:
        judge: Gives the verdict on a text.
        reasons: Every reason it may drop one for, so that a reason that never occurs shows as 0.
    """

    judge: Callable[[TextView], Verdict]
    reasons: tuple[str, ...]


def rules(corpus: config.Corpus) -> list[Rule]:
    """The rules that `corpus` asks for, cheap ones first: the first to drop gives the reason."""
    chosen = [Rule(lambda view: length.not_empty(view.text), ("empty",))]
    if corpus.has_targets:
        chosen.append(Rule(lambda view: length.has_target(view.target or ""), ("empty_target",)))
    if corpus.length is not None:
        chosen += _length_rules(corpus.length)
    if corpus.repetition is not None:
        chosen += _line_rules(corpus.repetition)
    if corpus.language is not None and corpus.language.keep:
        chosen.append(_language_rule(corpus.language))
    if corpus.repetition is not None:
        chosen.append(_ngram_rule(corpus.repetition))
    return chosen


def _length_rules(settings: config.Length) -> list[Rule]:
    fewest, most = settings.minimum_words, settings.maximum_words
    low, high = settings.minimum_mean_word_length, settings.maximum_mean_word_length
    return [
        Rule(
            lambda view: length.word_count(len(view.words), fewest, most),
            ("too_few_words", "too_many_words"),
        ),
        Rule(
            lambda view: length.mean_word_length(view.word_characters, len(view.words), low, high),
            ("mean_word_length",),
        ),
    ]


def _line_rules(settings: config.Repetition) -> list[Rule]:
    lines, line_characters = settings.duplicate_lines, settings.duplicate_line_characters
    paragraphs = settings.duplicate_paragraphs
    paragraph_characters = settings.duplicate_paragraph_characters
    return [
        Rule(
            lambda view: repetition.repeated_parts("line", view.lines, lines, line_characters),
            ("duplicate_lines", "duplicate_line_characters"),
        ),
        Rule(
            lambda view: repetition.repeated_parts(
                "paragraph", view.paragraphs, paragraphs, paragraph_characters
            ),
            ("duplicate_paragraphs", "duplicate_paragraph_characters"),
        ),
    ]


def _language_rule(settings: config.Language) -> Rule:
    keep, score = frozenset(settings.keep), settings.minimum_score
    return Rule(
        lambda view: language.wanted_language(view.language, keep, score),
        ("language", "language_score"),
    )


def _ngram_rule(settings: config.Repetition) -> Rule:
    top, duplicate = settings.top_ngram_characters, settings.duplicate_ngram_characters
    return Rule(
        lambda view: repetition.repeated_ngrams(view.words, top, duplicate),
        (
            *(repetition.TOP_REASON.format(n=n) for n in sorted(top)),
            *(repetition.DUPLICATE_REASON.format(n=n) for n in sorted(duplicate)),
        ),
    )
