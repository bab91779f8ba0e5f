"""What the kept text is: its languages, its licences, and what was taken out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from llm_keras.pages.heat import heat, matrix
from llm_keras.pages.markup import Html, long_table, number, section, size, tag
from llm_keras.pages.svg import meter
from pipelines.report.facts import CorpusFacts, Facts, percent

#: Languages and licences that are open when the page opens.
SHOWN = 12


def makeup(facts: CorpusFacts) -> Html:
    """The section about languages and licences."""
    parts: list[Html] = []
    for title, name, what in (
        ("Languages", "languages", "languages"),
        ("Licences", "licences", "licences"),
        ("Subsets", "subsets", "subsets"),
    ):
        counts: dict[str, Facts] = _counted(facts.curation.get(name, {}))
        if counts:
            parts += [tag("h3", title), _table(what, counts)]
    unknown = facts.curation.get("licences", {}).get("unknown")
    if unknown:
        said = f"Of {number(unknown['documents'])} documents nobody has named a licence."
        parts.append(tag("p", said, class_="note"))
    return section("Languages and licences", *parts)


def _counted(counts: Mapping[str, Facts | int]) -> dict[str, Facts]:
    return {
        name: {"documents": each} if isinstance(each, int) else each
        for name, each in counts.items()
    }


def _table(what: str, counts: Mapping[str, Facts]) -> Html:
    """Names with their documents and bytes, most bytes first."""
    measure = "bytes" if all("bytes" in each for each in counts.values()) else "documents"
    ranked = sorted(counts.items(), key=lambda item: (-int(item[1][measure]), item[0]))
    whole = sum(int(each[measure]) for each in counts.values())
    most = ranked[0][1][measure] or 1
    rows = []
    for name, each in ranked:
        said = f"{name}: {percent(each[measure], whole)} of the {measure}"
        bar = meter([("training", each[measure] / most)], said, least=0.004)
        row: list[str] = [name, bar, percent(each[measure], whole), number(each["documents"])]
        rows.append([*row, size(each["bytes"])] if measure == "bytes" else row)
    head = [what[:-1], "", "share", "documents", *(["bytes"] if measure == "bytes" else [])]
    return long_table(head, rows, what, shown=SHOWN)


def redacted(facts: CorpusFacts) -> Html:
    """The section about personal data and secrets: how often each kind was taken out."""
    title = "Personal data and secrets taken out"
    by_source: dict[str, dict[str, int]] = {
        name: counts["redacted"] for name, counts in facts.sources.items() if counts.get("redacted")
    }
    total: Counter[str] = Counter()
    for counts in by_source.values():
        total.update(counts)
    if not total:
        return section(title, tag("p", _nothing(facts), class_="note"))
    kinds = [kind for kind, _ in total.most_common()]
    ranked = sorted(by_source.items(), key=lambda item: -sum(item[1].values()))
    most = max(max(counts.values()) for counts in by_source.values())
    rows = [_row(name, counts, kinds, most) for name, counts in ranked]
    if len(rows) > 1:
        rows.insert(0, _row("all sources", total, kinds, 0))
    others = len(facts.sources) - len(by_source)
    said = (
        f"In kept documents. {number(others)} sources had none." if others else "In kept documents."
    )
    return section(title, tag("p", said, class_="note"), matrix(["source"], kinds, rows, "sources"))


def _nothing(facts: CorpusFacts) -> str:
    if facts.corpus is None or facts.corpus.redact is not None:
        return "None was found in kept documents."
    return "None: corpus.redact is not set, and only private sources are redacted without it."


def _row(name: str, counts: Mapping[str, int], kinds: list[str], most: int) -> list[str]:
    cells: list[str] = [name]
    for kind in kinds:
        count = counts.get(kind, 0)
        said = f"{name}: {number(count)} of kind {kind}"
        cells.append(heat(number(count) if count else "·", count / most if most else 0.0, said))
    return cells
