"""What went in and what was dropped: by step, then by source and rule."""

from __future__ import annotations

from collections.abc import Sequence

from llm_keras.pages.heat import heat, matrix
from llm_keras.pages.markup import Html, details, join, number, section, size, table, tag
from llm_keras.pages.svg import meter
from pipelines.report.facts import CorpusFacts, Facts, percent

#: Step -> what it does, for a person.
STEPS = {
    "read": "read, screened, judged by the rules",
    "urls": "older pages of one address",
    "duplicates": "equal texts",
    "near": "nearly equal texts",
    "lines": "lines that stand elsewhere",
    "finish": "decontaminated, redacted, split",
}
#: Colour -> what it stands for in the bars of steps.
COLOURS = {"kept": "go on", "dropped-0": "dropped", "dead": "could not be read"}


def steps(facts: CorpusFacts) -> Html:
    """The section about the steps."""
    every: list[Facts] = facts.curation.get("steps", [])
    whole = max((step["in"] for step in every), default=0) or 1
    legend = [
        tag("span", tag("i", class_=f"swatch {colour}"), meaning, class_="entry")
        for colour, meaning in COLOURS.items()
    ]
    return section(
        "Step by step",
        tag("p", *legend, class_="legend"),
        table(["step", "", "in", "dropped", "dead", "out"], [_step(step, whole) for step in every]),
        *_splits(facts),
    )


def _step(step: Facts, whole: int) -> list[str]:
    name = str(step["step"])
    flag = tag("b", "no effect", class_="flag") if step["alarm"] else ""
    meaning = tag("span", STEPS.get(name, ""), class_="meaning")
    parts = [("kept", step["out"]), ("dropped-0", step["dropped"]), ("dead", step["dead"])]
    said = f"{name}: {step['in']} in, {step['dropped']} dropped, {step['dead']} dead"
    bar = meter([(colour, count / whole) for colour, count in parts], said, least=0.004)
    dropped = number(step["dropped"])
    if step.get("lines"):
        dropped += f" + {number(step['lines'])} lines"
    label = join([tag("b", name), " ", flag, " ", meaning])
    return [label, bar, number(step["in"]), dropped, number(step["dead"]), number(step["out"])]


def _splits(facts: CorpusFacts) -> list[Html]:
    splits: dict[str, Facts] = facts.curation["splits"]
    kept = sum(counts["documents"] for counts in splits.values())
    rows = [
        (
            name,
            number(counts["documents"]),
            percent(counts["documents"], kept),
            size(counts["bytes"]),
        )
        for name, counts in splits.items()
    ]
    return [tag("h3", "Splits"), table(["split", "documents", "share", "bytes"], rows)]


def sources(facts: CorpusFacts) -> Html:
    """The section about sources and rules."""
    occurred = [reason for reason, count in facts.reasons.items() if count]
    never = [reason for reason, count in facts.reasons.items() if not count]
    whole: Facts = {
        "in": facts.total("in"),
        "kept": facts.total("kept"),
        "dead": facts.total("dead"),
        "dropped": facts.reasons,
    }
    rows = [_source(name, counts, occurred) for name, counts in facts.sources.items()]
    every = _source("all sources", whole, occurred)
    head = ["source", "in", "kept", "dead"]
    said = (
        "Documents that each rule dropped, as a share of those that the source gave; the first rule"
        " that drops a document counts it. Point at a cell for the number."
    )
    parts = [tag("p", said, class_="note")]
    tilted = [reason.replace("_", " ") for reason in occurred]
    table_of_all = matrix(head, tilted, [every, *rows] if len(rows) > 1 else rows, "sources")
    return section("By source and rule", *parts, table_of_all, *_never(never), *_ignored(facts))


def _source(name: str, counts: Facts, reasons: Sequence[str]) -> list[str]:
    seen = counts["in"]
    cells: list[str] = [name, number(seen), percent(counts["kept"], seen)]
    cells.append(percent(counts["dead"], seen) if counts["dead"] else "–")
    for reason in reasons:
        count = counts["dropped"].get(reason, 0)
        said = f"{name}: {number(count)} dropped for {reason.replace('_', ' ')}"
        shown = percent(count, seen).rstrip("%") if count else "·"
        cells.append(heat(shown, count / seen if seen else 0.0, said))
    return cells


def _never(reasons: Sequence[str]) -> list[Html]:
    """The rules that were on and never dropped anything."""
    if not reasons:
        return []
    listed = ", ".join(reason.replace("_", " ") for reason in reasons)
    told = f"{len(reasons)} reasons for which nothing was dropped"
    return [details(told, tag("p", f"{listed}.", class_="note"))]


def _ignored(facts: CorpusFacts) -> list[Html]:
    """Files that were passed over because of their names."""
    ignored = {
        name: counts["ignored_files"]
        for name, counts in facts.sources.items()
        if counts.get("ignored_files")
    }
    if not ignored:
        return []
    listed = ", ".join(f"{name} {number(count)}" for name, count in ignored.items())
    return [tag("p", f"Files passed over because of their names: {listed}.", class_="note")]
