"""How much of each source is trained on, beside what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_keras import config
from llm_keras.pages.markup import Html, join, long_table, missing, number, section, size, tag
from llm_keras.pages.svg import meter
from pipelines.report.facts import CorpusFacts, percent


@dataclass(frozen=True)
class Share:
    """One source among what is trained on.

    Attributes:
        name: Of the source.
        share: Its fraction, of tokens where there are records, else of bytes.
        asked: The fraction asked for; None: as much as there is.
        epochs: How often it is read.
        size_bytes: Of its training text, read once.
        tokens: Of it in the records; None: there are none yet.
        tolerance: How far a share may be from what was asked for, as a fraction of that.
    """

    name: str
    share: float
    asked: float | None
    epochs: float
    size_bytes: int
    tokens: int | None
    tolerance: float

    @property
    def is_off(self) -> bool:
        """Whether the share is further from what was asked for than is tolerated."""
        if self.asked is None:
            return False
        return abs(self.share - self.asked) > self.tolerance * self.asked + 1e-6


def shares(facts: CorpusFacts) -> list[Share]:
    """The share of each source, the largest first, of what there is or was asked for."""
    asked = facts.curation.get("mixture", {})
    settings = (facts.corpus.mixture if facts.corpus else None) or config.Mixture()
    there = {
        name: int(counts.get("bytes_kept_for_training") or counts["bytes_kept"])
        for name, counts in facts.sources.items()
    }
    tokens = _tokens(facts)
    read = tokens or {
        name: size_bytes * asked.get(name, {}).get("epochs", 1.0)
        for name, size_bytes in there.items()
    }
    whole = sum(read.values()) or 1
    found = [
        Share(
            name=name,
            share=read.get(name, 0) / whole,
            asked=asked.get(name, {}).get("asked"),
            epochs=asked.get(name, {}).get("epochs", 1.0),
            size_bytes=size_bytes,
            tokens=tokens.get(name, 0) if tokens else None,
            tolerance=settings.tolerance,
        )
        for name, size_bytes in there.items()
    ]
    return sorted(found, key=lambda each: (-max(each.share, each.asked or 0.0), each.name))


def _tokens(facts: CorpusFacts) -> Mapping[str, int]:
    """Training tokens of each source; empty where there are no records of this curation."""
    if facts.manifest is None:
        return {}
    return {
        name: int(counts.get("train_tokens") or 0)
        for name, counts in facts.manifest["sources"].items()
        if counts.get("train_tokens")
    }


def mixture(facts: CorpusFacts) -> Html:
    """The section about tokens by source."""
    every = shares(facts)
    counted = every and every[0].tokens is not None
    title = f"{'Tokens' if counted else 'Bytes'} by source"
    parts = [tag("p", _told(every, bool(counted)))]
    if not counted:
        parts.append(missing("Not counted in tokens yet:", "llm-keras tokenize"))
    asked = any(each.asked is not None for each in every)
    head = ["source", "", "share", *(["asked for", "times read"] if asked else []), "bytes"]
    head += ["tokens"] if counted else []
    widest = max((max(each.share, each.asked or 0) for each in every), default=0) or 1
    rows = [_row(each, widest, asked=asked) for each in every]
    return section(title, *parts, long_table(head, rows, "sources"))


def _told(every: Sequence[Share], counted: bool) -> str:
    what = "training tokens" if counted else "bytes of training text"
    if all(each.asked is None for each in every):
        return f"Shares of the {what}. No mixture is asked for: every document is read once."
    off = [each for each in every if each.is_off]
    told = f"Shares of the {what}; the line across a bar is what corpus.mixture asks for. "
    if not off:
        return told + f"All are within {every[0].tolerance:.0%} of that."
    return told + f"{len(off)} of {len(every)} are more than {off[0].tolerance:.0%} off."


def _row(each: Share, widest: float, *, asked: bool) -> list[str]:
    colour = "dropped-0" if each.is_off else "training"
    said = f"{each.name}: {percent(each.share, 1)}"
    mark = None
    if each.asked is not None:
        said += f", {percent(each.asked, 1)} asked for"
        mark = each.asked / widest
    bar = meter([(colour, each.share / widest)], said, mark=mark, least=0.004)
    flag = tag("b", "off", class_="flag") if each.is_off else ""
    row: list[str] = [join([each.name, " ", flag]), bar, percent(each.share, 1)]
    if asked:
        row += ["–" if each.asked is None else percent(each.asked, 1), f"{each.epochs:.3g}"]
    row.append(size(each.size_bytes))
    return [*row, number(each.tokens)] if each.tokens is not None else row
