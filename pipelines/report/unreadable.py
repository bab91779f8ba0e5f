"""Dead letters: what could not be read, by error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llm_keras.data import curated
from llm_keras.pages.markup import Html, long_table, number, section, tag
from pipelines.report.facts import CorpusFacts, Facts

#: Dead letters that are looked through.
MOST_SEEN = 200_000
#: What differs between errors of one kind: ids, and numbers.
_ID = re.compile(r"\S+:[0-9a-f]{24}\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass
class Kind:
    """Errors that differ in numbers alone.

    Attributes:
        first: The first of them.
        count: How many there are.
        sources: Where.
    """

    first: Facts
    count: int
    sources: set[str]


def kind_of(error: str) -> str:
    """An error without what is of one document.

    >>> kind_of("byte 0xe9 at 312 is not utf-8"), kind_of("a rule failed on a:" + 24 * "0")
    ('byte …xe… at … is not utf-…', 'a rule failed on …')
    """
    return _NUMBER.sub("…", _ID.sub("…", error))


def unreadable(facts: CorpusFacts) -> Html:
    """The section about dead letters."""
    title = "Dead letters"
    dead = facts.total("dead")
    if not dead:
        return section(title, tag("p", "None: everything could be read."))
    kinds: dict[str, Kind] = {}
    seen = 0
    for letter in _letters(facts):
        seen += 1
        name = kind_of(str(letter["error"]))
        kind = kinds.setdefault(name, Kind(letter, 0, set()))
        kind.count += 1
        kind.sources.add(str(letter["source"]))
    ranked = sorted(kinds.items(), key=lambda item: (-item[1].count, item[0]))
    rows = [
        (str(kind.first["error"]), number(kind.count), _sources(kind), _place(kind.first))
        for _, kind in ranked
    ]
    said = f"{number(dead)} could not be read. Errors that differ in numbers alone are one."
    if seen < dead:
        said += f" The first {number(seen)} were looked at."
    table = long_table(
        ["error, the first of its kind", "letters", "of", "first at"], rows, "errors"
    )
    return section(title, tag("p", said, class_="note"), tag("div", table, class_="words"))


def _letters(facts: CorpusFacts) -> Iterator[Facts]:
    """From the files; where there are none, the first ones from the counts."""
    if curated.files(facts.folder.dead_letters):
        yield from curated.documents(facts.folder.dead_letters, MOST_SEEN)
        return
    for source, counts in facts.sources.items():
        for place, error in counts.get("first_dead", {}).items():
            yield {"source": source, "locator": place, "error": error}


def _sources(kind: Kind) -> str:
    return next(iter(kind.sources)) if len(kind.sources) == 1 else f"{len(kind.sources)} sources"


def _place(letter: Facts) -> str:
    line, offset = letter.get("line"), letter.get("offset")
    told = str(letter["locator"])
    told += f" line {number(line)}" if line is not None else ""
    return told + (f" byte {number(offset)}" if offset is not None else "")
