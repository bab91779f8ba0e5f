"""How well the model translates: scores beside the baselines, by book, and samples side by side."""

from __future__ import annotations

from typing import Any

from llm_keras.evaluation.report import charts
from llm_keras.evaluation.report.facts import Facts, RunFacts
from llm_keras.pages.markup import Html, excerpt, missing, number, section, table, tag

SAMPLE_CHARACTERS = 600
#: What is said of each translation, and its key in evaluation.json.
COLUMNS = {"source": "source", "reference": "reference", "this model": "translation"}


def translation(facts: RunFacts) -> Html:
    """The section with BLEU and chrF; higher is better in every column."""
    title = "Translation of held-out pairs"
    scores = (facts.evaluation or {}).get("translation")
    if scores is None:
        return section(title, missing("Not translated yet:", "llm-keras evaluate"))
    systems = {"this model": scores, **scores["baselines"]}
    best_first = sorted(systems.items(), key=lambda item: -float(item[1]["chrf"]))
    rows = [(name, f"{each['bleu']:.1f}", f"{each['chrf']:.1f}") for name, each in best_first]
    return section(
        title,
        tag("p", _told(scores)),
        table(["", "BLEU", "chrF"], rows, mark="this model"),
        tag("p", _explained(scores), class_="note"),
        *_by_subset(systems),
    )


def samples(facts: RunFacts) -> Html:
    """The section with translations to read, each beside its source and its reference."""
    found = (facts.evaluation or {}).get("translation", {}).get("samples", [])
    if not found:
        return section("Samples", missing("No translations yet:", "llm-keras evaluate"))
    said = "The first held-out pairs of each subset that were translated, not picked by hand."
    return section("Samples", tag("p", said), *(_sample(sample) for sample in found))


def _told(scores: Facts) -> str:
    told = f"{number(scores['pairs'])} of {number(scores['held_out'])} held-out pairs, by"
    if scores["num_beams"] > 1:
        told += f" beam search with {scores['num_beams']} hypotheses and a length penalty of"
        told += f" {scores['length_penalty']:g}."
    else:
        told += " sampling one token after another."
    if scores["too_long"]:
        told += f" {number(scores['too_long'])} sources are too long for the model; left out."
    return told + " Higher is better."


def _explained(scores: Facts) -> str:
    return (
        "BLEU counts the word sequences that a translation shares with the reference, chrF those of"
        " characters. Copy gives the source back. The translation memory gives the translation of"
        f" the training pair, of {number(scores['known_pairs'])}, whose source is most like the one"
        " asked for (cosine of TF-IDF weighted character trigrams)."
        f" sacrebleu: {scores['signatures']['bleu']} and {scores['signatures']['chrf']}."
    )


def _by_subset(systems: dict[str, Facts]) -> list[Html]:
    """A chart and a table of the subsets, where there are several."""
    subsets = systems["this model"]["subsets"]
    if len(subsets) < 2:
        return []
    bars = {
        name: {system: float(each["subsets"][name]["chrf"]) for system, each in systems.items()}
        for name in subsets
    }
    head = ["", "pairs", *(f"{system}, BLEU / chrF" for system in systems)]
    rows: list[list[str]] = [
        [
            name,
            number(subsets[name]["pairs"]),
            *(_pair(each["subsets"][name]) for each in systems.values()),
        ]
        for name in subsets
    ]
    return [
        tag("h3", "By subset"),
        charts.bar_legend(list(systems)),
        *(
            tag("div", charts.bar_chart(bars, "chrF", width=width), class_=name)
            for name, width in (("wide", 9.4), ("narrow", 3.9))
        ),
        table(head, rows),
    ]


def _pair(score: Facts) -> str:
    return f"{score['bleu']:.1f} / {score['chrf']:.1f}"


def _sample(sample: dict[str, Any]) -> Html:
    """The texts beside each other, on a phone below each other."""
    cells = [
        tag(
            "div",
            tag("h4", name),
            tag("blockquote", excerpt(str(sample[key]), SAMPLE_CHARACTERS), dir="auto"),
        )
        for name, key in {**COLUMNS, "translation memory": "memory"}.items()
    ]
    return tag(
        "figure",
        tag("figcaption", str(sample["subset"])),
        tag("div", *cells, class_="sides"),
    )
