"""The page around the sections: headline, key figures."""

from __future__ import annotations

from collections.abc import Sequence

from llm_keras.evaluation.report.facts import RunFacts
from llm_keras.evaluation.report.verdict import verdict
from llm_keras.pages.markup import Html, number, tag
from llm_keras.pages.page import document, tiles


def page(facts: RunFacts, sections: Sequence[Html]) -> str:
    """The whole document."""
    name = facts.folder.root.resolve().name
    title = f"{name}: {verdict(facts.evaluation).headline}"
    return document(title, _header(name, facts), tag("main", *sections))


def _header(name: str, facts: RunFacts) -> Html:
    found = verdict(facts.evaluation)
    return tag(
        "header",
        tag("p", f"llm-keras · run {name}", class_="run"),
        tag("div", tag("h1", found.headline), tag("p", found.detail), class_=found.level),
        *([tag("p", tag("b", "Purpose. "), facts.run.purpose)] if facts.run.purpose else []),
        tiles(_figures(facts)),
    )


def _figures(facts: RunFacts) -> list[tuple[str, str]]:
    """The figures that one looks for first."""
    found: list[tuple[str, str]] = []
    evaluation = facts.evaluation
    if evaluation:
        if "translation" in evaluation:
            found.append((f"{evaluation['translation']['bleu']:.1f}", "BLEU"))
            found.append((f"{evaluation['translation']['chrf']:.1f}", "chrF"))
        if "accuracy" in evaluation:
            found.append((f"{evaluation['accuracy']:.1%}", "hidden tokens guessed"))
        found.append((number(evaluation["perplexity"]), "held-out perplexity"))
        if "bits_per_byte" in evaluation:
            found.append((number(evaluation["bits_per_byte"]), "bits per byte"))
        if "parameters" in evaluation:
            found.append((number(evaluation["parameters"]), "parameters"))
    if facts.manifest:
        tokens = facts.manifest["splits"]["train"]["tokens"]
        found.append((number(tokens), "training tokens"))
    if facts.training:
        found.append((number(int(facts.training["step"][-1])), "steps"))
    return found
