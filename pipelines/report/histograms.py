"""What the rules measured, with the limits between which they keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llm_keras import config
from llm_keras.data.histograms import BORDERS, bin_label
from llm_keras.pages.markup import Html, number, section, tag
from llm_keras.pages.svg import Bin, Limit, histogram
from pipelines.report.facts import CorpusFacts, percent

#: Measure -> its title.
TITLES = {
    "words": "Words",
    "mean_word_length": "Mean word length, characters",
    "alphabetic_words": "Words with a letter, fraction",
    "duplicate_line_characters": "Characters in repeated lines, fraction",
    "top_2_gram_characters": "Characters in the most frequent 2-gram, fraction",
    "punctuated_lines": "Lines that end in punctuation, fraction",
    "short_lines": "Short lines, fraction",
    "newlines_per_word": "Line ends per word",
    "language_score": "Confidence in the language",
}


def histograms(facts: CorpusFacts) -> Html:
    """The section with a histogram of each measure."""
    title = "What the rules measured"
    counted: dict[str, dict[str, int]] = facts.curation.get("histograms", {})
    if not counted:
        return section(title, tag("p", "Nothing: no rule that measures was on.", class_="missing"))
    limits = limits_of(facts.corpus) if facts.corpus else {}
    said = (
        "Documents by measure, in bins that are not equally wide. Lines are the limits of the"
        " rules; what is beyond them is dropped. A document that one rule drops is not measured by"
        " those after it."
    )
    if facts.corpus is None:
        said += " The limits are not drawn: there is no run.yaml."
    drawn = [_drawn(name, counts, limits.get(name, {})) for name, counts in counted.items()]
    return section(title, tag("p", said, class_="note"), tag("div", *drawn, class_="grid"))


def _drawn(name: str, counts: Mapping[str, int], limits: Mapping[Limit, list[str]]) -> Html:
    bins = bins_of(name, counts)
    total = sum(each.count for each in bins)
    title = TITLES.get(name, name.replace("_", " "))
    said = f"{title}: {number(total)} documents"
    notes = [_beyond(bins, limit, sources) for limit, sources in limits.items()]
    return tag(
        "div",
        tag("h3", title),
        histogram(bins, list(limits), "; ".join([said, *notes])),
        tag("p", "; ".join([f"{number(total)} documents", *notes]), class_="bin"),
    )


def bins_of(name: str, counts: Mapping[str, int]) -> list[Bin]:
    """All bins of a measure, empty ones too, from the first to one beyond the last that is used.

    Args:
        name: Of the measure; one that is not known has the bins that were counted.
        counts: Documents by the beginning of their bin.
    """
    starts = BORDERS.get(name) or sorted(float(label) for label in counts)
    bins = [Bin(float(start), counts.get(bin_label(starts, start), 0)) for start in starts]
    while len(bins) > 2 and not bins[-1].count and not bins[-2].count:
        bins.pop()
    return bins


def _beyond(bins: list[Bin], limit: Limit, sources: list[str]) -> str:
    """How many documents a limit drops, as far as the bins tell."""
    total = sum(each.count for each in bins)
    ends = [*(each.start for each in bins[1:]), float("inf")]
    beyond = sum(
        each.count for each, end in zip(bins, ends, strict=True) if limit.drops(each.start, end)
    )
    whose = f" ({', '.join(sources)})" if sources else ""
    return f"{percent(beyond, total)} {limit.beyond}{whose}"


def limits_of(corpus: config.Corpus) -> dict[str, dict[Limit, list[str]]]:
    """Measure -> its limits -> the sources that have it; none: all of them."""
    names = [source.name for source in corpus.sources]
    found: dict[str, dict[Limit, list[str]]] = {}
    for name in names or [""]:
        for measure, limit in _limits(corpus.rules_of(name), corpus.language):
            found.setdefault(measure, {}).setdefault(limit, []).append(name)
    everybody = names or [""]
    return {
        measure: {
            limit: [] if sources == everybody else sources for limit, sources in limits.items()
        }
        for measure, limits in found.items()
    }


def _limits(rules: config.Rules, language: config.Language | None) -> Iterator[tuple[str, Limit]]:
    """The limits of one set of rules on what is drawn."""
    if rules.length is not None:
        yield "words", Limit(rules.length.minimum_words, "least")
        yield "words", Limit(rules.length.maximum_words, "most")
        yield "mean_word_length", Limit(rules.length.minimum_mean_word_length, "least")
        yield "mean_word_length", Limit(rules.length.maximum_mean_word_length, "most")
    if rules.symbols is not None:
        yield "alphabetic_words", Limit(rules.symbols.minimum_alphabetic_words, "least")
    if rules.repetition is not None:
        most = rules.repetition.duplicate_line_characters
        yield "duplicate_line_characters", Limit(most, "most")
        if 2 in rules.repetition.top_ngram_characters:
            most = rules.repetition.top_ngram_characters[2]
            yield "top_2_gram_characters", Limit(most, "most")
    if rules.lines is not None:
        most = rules.lines.maximum_duplicate_line_characters
        yield "duplicate_line_characters", Limit(most, "most")
        yield "punctuated_lines", Limit(rules.lines.minimum_punctuated_lines, "least")
        yield "short_lines", Limit(rules.lines.maximum_short_lines, "most")
        yield "newlines_per_word", Limit(rules.lines.maximum_newlines_per_word, "most")
    if language is not None and language.keep:
        yield "language_score", Limit(language.minimum_score, "least")
