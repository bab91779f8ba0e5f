"""The head of the page: how much is left, and what somebody should look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from llm_keras import config
from llm_keras.pages.markup import Html, number, size, tag
from llm_keras.pages.page import tiles
from pipelines.report import mixture
from pipelines.report.facts import CorpusFacts, percent

#: A rule that drops a larger fraction of all documents is named.
MUCH = 0.5
#: Names listed in one sentence.
MOST_NAMES = 5


@dataclass(frozen=True)
class Remark:
    """Something that somebody should look at.

    Attributes:
        level: An alarm is likely a mistake of the settings; a notice may be as it should.
        what: In a few words.
        why: What it means, or what to do.
    """

    level: Literal["alarm", "notice"]
    what: str
    why: str


def headline(facts: CorpusFacts) -> str:
    """How many documents are left."""
    kept, seen = facts.total("kept"), facts.total("in")
    return f"{number(kept)} of {number(seen)} documents kept ({percent(kept, seen)})"


def header(facts: CorpusFacts, remarks: Sequence[Remark]) -> Html:
    """Headline, remarks, key figures."""
    alarms = any(remark.level == "alarm" for remark in remarks)
    level = "weak" if alarms else "fair" if remarks else "good"
    purpose = facts.run.purpose if facts.run else ""
    return tag(
        "header",
        tag("p", f"llm-keras · corpus of run {facts.name}", class_="run"),
        tag("div", tag("h1", headline(facts)), tag("p", _detail(facts)), class_=level),
        *([tag("p", tag("b", "Purpose. "), purpose)] if purpose else []),
        *(_remark(remark) for remark in remarks),
        tiles(_figures(facts)),
    )


def _detail(facts: CorpusFacts) -> str:
    kept, read = facts.total("bytes_kept"), facts.total("bytes_in")
    dropped = sum(facts.reasons.values())
    told = f"{size(kept)} of {size(read)} of text. {number(dropped)} documents were dropped"
    most = next(iter(facts.reasons), None)
    if most is not None and dropped:
        share = percent(facts.reasons[most], dropped)
        told += f", most often ({share}) for {most.replace('_', ' ')}"
    return told + "."


def _remark(remark: Remark) -> Html:
    what = tag("b", f"{remark.what}. ")
    return tag("p", what, remark.why, class_=f"remark {remark.level}", role="note")


def _figures(facts: CorpusFacts) -> list[tuple[str, str]]:
    found = [
        (number(facts.total("in")), "documents in"),
        (number(facts.total("kept")), "documents kept"),
        (size(facts.total("bytes_kept")), "of text kept"),
    ]
    if facts.manifest:
        found.append((number(facts.manifest["splits"]["train"]["tokens"]), "training tokens"))
    found.append((number(len(facts.sources)), "sources"))
    found.append((number(facts.total("dead")), "dead letters"))
    return found


def look_at(facts: CorpusFacts) -> list[Remark]:
    """What is odd, alarms first."""
    looks = (_idle_steps, _empty_sources, _hungry_rules, _dead, _mixture)
    found = [remark for look in looks for remark in look(facts)]
    return sorted(found, key=lambda remark: remark.level)


def _idle_steps(facts: CorpusFacts) -> Iterator[Remark]:
    for step in facts.curation.get("steps", []):
        if step["alarm"]:
            yield Remark(
                "alarm",
                f"Step {step['step']} {str(step['alarm']).partition(':')[0]}",
                f"{number(step['in'])} documents went in and all came out. Is that so? A step that"
                " does nothing is most often set wrong: look at its settings, or turn it off.",
            )


def _empty_sources(facts: CorpusFacts) -> Iterator[Remark]:
    empty = [name for name, counts in facts.sources.items() if not counts["kept"]]
    if empty:
        yield Remark(
            "alarm",
            f"Nothing is left of {_named(empty)}",
            "The table of sources says which rules dropped it.",
        )


def _hungry_rules(facts: CorpusFacts) -> Iterator[Remark]:
    for reason, count in facts.reasons.items():
        if count > MUCH * facts.total("in"):
            yield Remark(
                "notice",
                f"{percent(count, facts.total('in'))} were dropped for {reason.replace('_', ' ')}",
                "More than half of all documents: read some of them below, beside what was kept.",
            )


def _dead(facts: CorpusFacts) -> Iterator[Remark]:
    most = (facts.corpus or config.Corpus()).maximum_dead_fraction
    many = [
        name for name, counts in facts.sources.items() if counts["dead"] > most * counts["in"] > 0
    ]
    if many:
        yield Remark(
            "notice",
            f"More than {most:.1%} could not be read of {_named(many)}",
            "The dead letters say why.",
        )


def _mixture(facts: CorpusFacts) -> Iterator[Remark]:
    off = [each.name for each in mixture.shares(facts) if each.is_off]
    if off:
        yield Remark(
            "notice",
            f"The mixture is not as asked for: {_named(off)}",
            "A source that is too small for its share is repeated only so often.",
        )


def _named(names: Sequence[str]) -> str:
    """Names in a sentence; of many the first.

    >>> _named(["web", "books"]), _named(["a", "b", "c", "d", "e", "f", "g"])
    ('web, books', 'a, b, c, d, e and 2 more')
    """
    listed = ", ".join(names[:MOST_NAMES])
    return f"{listed} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else listed
