"""What is asked of a document when it is read: may it be used, do the rules keep it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from llm_keras import config
from llm_keras.data.document import Document
from llm_keras.data.histograms import Histograms
from llm_keras.data.redaction import redacting
from llm_keras.data.rules import KEEP, Rule, TextView, Verdict, rules
from llm_keras.data.screening import Screen
from pipelines.counts import Counts

#: The language tag of programs.
CODE = "code"


class Judged(NamedTuple):
    """A document and the verdict on it.

    Args:
        document: As it goes on: named in its language, cut by the rules for lines.
        verdict: The first rule that drops gives the reason.
        size_bytes: Of the text as it was read.
        removed_lines: Lines that the rules for lines took out, by reason.
    """

    document: Document
    verdict: Verdict
    size_bytes: int
    removed_lines: Mapping[str, int] = MappingProxyType({})

    def as_reject(self, redact: config.Redaction | None) -> dict[str, Any]:
        """What is written of a dropped document; what is personal is not written in clear."""
        return reject(self.document, self.verdict.reason, self.verdict.detail, redact)


def reject(
    document: Document, reason: str, detail: str, redact: config.Redaction | None
) -> dict[str, Any]:
    """A dropped document with the reason."""
    document = redacting(document, redact)
    return document.as_dict() | {"reason": reason, "detail": detail}


class Judge:
    """The questions of one corpus; made in the worker.

    Args:
        corpus: Says what is asked.
    """

    def __init__(self, corpus: config.Corpus) -> None:
        self.corpus = corpus
        self.screen = Screen(corpus.screening)
        self.histograms = Histograms()
        self._rules: dict[str, list[Rule]] = {}

    def __call__(self, document: Document) -> Judged:
        """Screens, then asks the rules in order."""
        size_bytes = document.size_bytes
        verdict = self.screen.admit(document)
        if not verdict.keep:
            return Judged(document, verdict, size_bytes)
        view = _view(document)
        for rule in self._rules_of(document.source):
            verdict = rule.judge(view)
            if not verdict.keep:
                break
        self.histograms.add(document.source, view)
        if view.text != document.text:
            document = dataclasses.replace(document, text=view.text)
        if verdict.keep and document.language is None and self.corpus.language is not None:
            document = dataclasses.replace(document, language=view.language.code)
        if verdict.keep:
            verdict = self.screen.toxicity(document.text, document.language)
        return Judged(document, verdict, size_bytes, view.removed_lines)

    def _rules_of(self, source: str) -> list[Rule]:
        if source not in self._rules:
            self._rules[source] = rules_of(self.corpus, source)
        return self._rules[source]

    def measured(self) -> Counts:
        """Histograms since the last call."""
        return self.histograms.take()


def rules_of(corpus: config.Corpus, source: str) -> list[Rule]:
    """The rules for the documents of a source."""
    return rules(corpus.rules_of(source), corpus.language, corpus.has_targets)


def reasons_of(corpus: config.Corpus, source: str) -> Iterator[str]:
    """Every reason for which a document of a source may be dropped when it is read."""
    yield from Screen.reasons
    for rule in rules_of(corpus, source):
        yield from rule.reasons


def _view(document: Document) -> TextView:
    """What the rules see: of a pair the text, and the language that its source says.

    A sentence is too short to be sure of its language; what a person says of it goes first. Code is
    in none.
    """
    known = document.language if document.target is not None or document.language == CODE else None
    return TextView(document.text, document.target, known, document.subset)


__all__ = ["KEEP", "Judge", "Judged", "reasons_of", "reject", "rules_of"]
