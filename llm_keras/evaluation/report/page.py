"""The page around the sections: head, style, headline, key figures."""

from __future__ import annotations

from collections.abc import Sequence

from llm_keras.evaluation.report.facts import RunFacts
from llm_keras.evaluation.report.markup import Html, join, number, tag
from llm_keras.evaluation.report.style import STYLE
from llm_keras.evaluation.report.verdict import verdict

#: The page may show its own styles and nothing else: no script, no request, whatever is in a text.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(facts: RunFacts, sections: Sequence[Html]) -> str:
    """The whole document."""
    name = facts.folder.root.resolve().name
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{name}: {verdict(facts.evaluation).headline}"),
        tag("style", Html(STYLE)),
    )
    body = tag("body", _header(name, facts), tag("main", *sections))
    return "<!doctype html>\n" + tag("html", head, body, lang="en")


def _header(name: str, facts: RunFacts) -> Html:
    found = verdict(facts.evaluation)
    return tag(
        "header",
        tag("p", f"llm-keras · run {name}", class_="run"),
        tag("div", tag("h1", found.headline), tag("p", found.detail), class_=found.level),
        *([tag("p", tag("b", "Purpose. "), facts.run.purpose)] if facts.run.purpose else []),
        _tiles(facts),
    )


def _tiles(facts: RunFacts) -> Html:
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
    tiles = [tag("div", tag("b", figure), tag("span", meaning)) for figure, meaning in found]
    return tag("div", *tiles, class_="tiles") if tiles else join([])
