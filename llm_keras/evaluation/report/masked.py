"""How well hidden tokens are guessed: the table beside the baselines, and texts with guesses."""

from __future__ import annotations

from typing import Any

from llm_keras.evaluation.report.facts import Facts, RunFacts
from llm_keras.pages.markup import Html, missing, number, section, table, tag


def masked(facts: RunFacts) -> Html:
    """The section with accuracies and perplexities."""
    title = "Hidden tokens of held-out documents"
    evaluation = facts.evaluation
    if evaluation is None or "masked" not in evaluation:
        return section(title, missing("Not evaluated yet:", "llm-keras evaluate"))
    systems = {"this model": evaluation, **evaluation["baselines"]}
    ranked = sorted(systems.items(), key=lambda item: float(item[1]["cross_entropy"]))
    said = (
        f"After step {number(evaluation['step'])}: {number(evaluation['targets'])} tokens,"
        f" {evaluation['masked']['fraction']:.0%} of each row, were hidden behind the mask piece,"
        " the same ones for everybody."
    )
    return section(
        title,
        tag("p", said),
        table(
            ["", "guessed", "among first 5", "perplexity", "nats per token"],
            [_row(name, score) for name, score in ranked],
            mark="this model",
        ),
        tag(
            "p",
            "Guessed: the most probable token is the hidden one; higher is better. Perplexity is"
            " among how many tokens the guess hesitates; lower is better. The unigram always"
            " guesses the most frequent token; the neighbours model counts which tokens stood"
            " between which two others in the training documents.",
            class_="note",
        ),
    )


def samples(facts: RunFacts) -> Html:
    """The section with texts: right guesses marked, wrong ones struck before the truth."""
    found = (facts.evaluation or {}).get("masked", {}).get("samples", [])
    if not found:
        return section("Samples", missing("No guesses yet:", "llm-keras evaluate"))
    said = (
        "The beginnings of the first held-out rows. Every coloured token was hidden: green was"
        " guessed, of the others the guess is struck out before what stood there."
    )
    return section(
        "Samples",
        tag("p", said),
        *(
            tag("blockquote", *map(_part, sample["parts"]), class_="sample", dir="auto")
            for sample in found
        ),
    )


def _row(name: str, score: Facts) -> tuple[str, ...]:
    return (
        name,
        f"{score['accuracy']:.1%}",
        f"{score['top_5_accuracy']:.1%}",
        number(score["perplexity"]),
        number(score["cross_entropy"]),
    )


def _part(part: str | dict[str, Any]) -> str:
    if isinstance(part, str):
        return part
    if part["truth"] == part["guess"]:
        return tag("ins", part["truth"], class_="right")
    return tag("span", tag("del", part["guess"]), tag("ins", part["truth"], class_="missed"))
