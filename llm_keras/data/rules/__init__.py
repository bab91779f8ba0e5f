"""Pure rules about documents: text in, `(keep, reason, detail)` out.

A rule knows nothing of Beam, files or counting. A new rule is a function in a file here and a row
in `rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llm_keras import config
from llm_keras.data.rules import c4, code, language, length, line_quality, repetition, symbols
from llm_keras.data.rules.language import Identified
from llm_keras.data.rules.text_view import TextView
from llm_keras.data.rules.verdict import KEEP, Verdict, drop

__all__ = ["KEEP", "Identified", "Rule", "TextView", "Verdict", "drop", "rules"]


class Rule(NamedTuple):
    """A rule with its settings filled in.

    Args:
        judge: Gives the verdict on a text. The rule for C4's lines also changes the text that the
            view shows; the others leave it.
        reasons: Every reason it may drop one for, so that a reason that never occurs shows as 0.
    """

    judge: Callable[[TextView], Verdict]
    reasons: tuple[str, ...]


def rules(
    settings: config.Rules, language: config.Language | None = None, has_targets: bool = False
) -> list[Rule]:
    """The rules that `settings` ask for, cheap ones first: the first to drop gives the reason.

    C4's and FineWeb's stand last, as in FineWeb: the ones change the text that the others judge.

    Args:
        settings: The sections that are not null are on.
        language: The rule on languages; null: none.
        has_targets: Whether the documents are pairs.
    """
    chosen = [Rule(lambda view: length.not_empty(view.text), ("empty",))]
    if has_targets:
        chosen.append(Rule(lambda view: length.has_target(view.target or ""), ("empty_target",)))
    if settings.code is not None:
        chosen += _code_rules(settings.code)
    if settings.length is not None:
        chosen += _length_rules(settings.length)
    if settings.symbols is not None:
        chosen += _symbol_rules(settings.symbols)
    if settings.repetition is not None:
        chosen += _repetition_rules(settings.repetition)
    if language is not None and language.keep:
        chosen.append(_language_rule(language))
    if settings.repetition is not None:
        chosen.append(_ngram_rule(settings.repetition))
    if settings.c4 is not None:
        chosen.append(_c4_rule(settings.c4))
    if settings.lines is not None:
        chosen += _line_rules(settings.lines)
    return chosen


def _length_rules(settings: config.Length) -> list[Rule]:
    fewest, most = settings.minimum_words, settings.maximum_words
    low, high = settings.minimum_mean_word_length, settings.maximum_mean_word_length

    def word_count(view: TextView) -> Verdict:
        view.note("words", view.totals.spoken)
        return length.word_count(view.totals.spoken, fewest, most)

    def mean_word_length(view: TextView) -> Verdict:
        characters, words = view.totals.spoken_characters, view.totals.spoken
        view.note("mean_word_length", characters / max(words, 1))
        return length.mean_word_length(characters, words, low, high)

    return [
        Rule(word_count, ("too_few_words", "too_many_words")),
        Rule(mean_word_length, ("mean_word_length",)),
    ]


def _symbol_rules(settings: config.Symbols) -> list[Rule]:
    def hashes(view: TextView) -> Verdict:
        signs = view.text.count("#")
        limit = settings.maximum_hashes_per_word
        return symbols.signs_per_word("hashes", signs, view.totals.words, limit)

    def ellipses(view: TextView) -> Verdict:
        signs = sum(map(view.text.count, symbols.ELLIPSES))
        limit = settings.maximum_ellipses_per_word
        return symbols.signs_per_word("ellipses", signs, view.totals.words, limit)

    def alphabetic(view: TextView) -> Verdict:
        fraction = view.totals.alphabetic / max(view.totals.words, 1)
        view.note("alphabetic_words", fraction)
        return symbols.alphabetic_words(fraction, settings.minimum_alphabetic_words)

    bullets, cut_lines = settings.maximum_bullet_lines, settings.maximum_ellipsis_lines
    wanted, fewest = settings.stop_words, settings.minimum_stop_words
    return [
        Rule(hashes, ("hashes_per_word",)),
        Rule(ellipses, ("ellipses_per_word",)),
        Rule(lambda view: symbols.bullet_lines(view.text.splitlines(), bullets), ("bullet_lines",)),
        Rule(
            lambda view: symbols.ellipsis_lines(view.text.splitlines(), cut_lines),
            ("ellipsis_lines",),
        ),
        Rule(alphabetic, ("alphabetic_words",)),
        Rule(lambda view: symbols.stop_words(set(view.words), wanted, fewest), ("stop_words",)),
    ]


def _repetition_rules(settings: config.Repetition) -> list[Rule]:
    lines, line_characters = settings.duplicate_lines, settings.duplicate_line_characters
    paragraphs = settings.duplicate_paragraphs
    paragraph_characters = settings.duplicate_paragraph_characters
    return [
        Rule(
            lambda view: repetition.repeated_parts(
                "line", view.parts, len(view.text), lines, line_characters, view.note
            ),
            ("duplicate_lines", "duplicate_line_characters"),
        ),
        Rule(
            lambda view: repetition.repeated_parts(
                "paragraph", view.paragraphs, len(view.text), paragraphs, paragraph_characters
            ),
            ("duplicate_paragraphs", "duplicate_paragraph_characters"),
        ),
    ]


def _language_rule(settings: config.Language) -> Rule:
    keep, score = frozenset(settings.keep), settings.minimum_score

    def wanted(view: TextView) -> Verdict:
        if view.known_language == "code":  # which is no language that a model could name
            return KEEP
        view.note("language_score", view.language.score)
        return language.wanted_language(view.language, keep, score)

    return Rule(wanted, ("language", "language_score"))


def _ngram_rule(settings: config.Repetition) -> Rule:
    top, duplicate = settings.top_ngram_characters, settings.duplicate_ngram_characters
    return Rule(
        lambda view: repetition.repeated_ngrams(
            view.words, len(view.text), top, duplicate, view.note
        ),
        (
            *(repetition.TOP_REASON.format(n=n) for n in sorted(top)),
            *(repetition.DUPLICATE_REASON.format(n=n) for n in sorted(duplicate)),
        ),
    )


def _c4_rule(settings: config.C4) -> Rule:
    def clean(view: TextView) -> Verdict:
        cleaned = c4.clean_page(view.text, settings)
        if cleaned.verdict.keep:
            view.replace_text(cleaned.text, cleaned.removed)
        return cleaned.verdict

    return Rule(clean, c4.PAGE_REASONS)


def _line_rules(settings: config.LineQuality) -> list[Rule]:
    short, characters = settings.maximum_short_lines, settings.short_line_characters
    return [
        Rule(
            lambda view: line_quality.punctuated_lines(
                view.note("punctuated_lines", view.punctuated_lines),
                settings.minimum_punctuated_lines,
            ),
            ("punctuated_lines",),
        ),
        Rule(
            lambda view: line_quality.short_lines(
                view.note("short_lines", view.short_lines(characters)), short
            ),
            ("short_lines",),
        ),
        Rule(
            lambda view: line_quality.repeated_line_characters(
                repetition.duplicates(view.lines)[1],
                len(view.text) - view.text.count("\n"),
                settings.maximum_duplicate_line_characters,
            ),
            ("repeated_line_characters",),
        ),
        Rule(
            lambda view: line_quality.newlines_per_word(
                view.note("newlines_per_word", view.newlines_per_word),
                settings.maximum_newlines_per_word,
            ),
            ("newlines_per_word",),
        ),
    ]


def _code_rules(settings: config.CodeQuality) -> list[Rule]:
    longest, mean = settings.maximum_line_characters, settings.maximum_mean_line_characters
    alphanumeric = settings.minimum_alphanumeric
    low, high = settings.minimum_comments, settings.maximum_comments
    return [
        Rule(
            lambda view: code.line_lengths(view.text, longest, mean),
            ("long_line", "mean_line_length"),
        ),
        Rule(lambda view: code.alphanumeric(view.text, alphanumeric), ("alphanumeric",)),
        Rule(
            lambda view: code.comments(view.text, view.subset or "", low, high),
            ("few_comments", "many_comments"),
        ),
    ]
