"""Applies a list of rules to documents; the only place where rules meet Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from llm_keras import config
from llm_keras.data.document import Document
from llm_keras.data.rules import KEEP, Rule, TextView, Verdict, rules
from pipelines.quiet import beam
from pipelines.read import DeadLetter


class Judged(NamedTuple):
    """A document and the verdict on it."""

    document: Document
    verdict: Verdict = KEEP


def judge(document: Document, chosen: Sequence[Rule], name_language: bool) -> Judged:
    """Asks the rules in order; the first that drops gives the reason.

    Args:
        document: The document.
        chosen: The rules.
        name_language: Whether a kept document without a language tag gets one.
    """
    view = _view(document)
    for rule in chosen:
        verdict = rule.judge(view)
        if not verdict.keep:
            return Judged(document, verdict)
    if name_language and document.language is None:
        document = dataclasses.replace(document, language=view.language.code)
    return Judged(document)


def _view(document: Document) -> TextView:
    """What the rules see: of a pair the text, and the language that its source says.

    A sentence is too short to be sure of its language; what a person says of it goes first.
    """
    known = None if document.target is None else document.language
    return TextView(document.text, document.target, known)


class ApplyRules(beam.PTransform):
    """Documents -> `judged` documents and `dead` letters.

    A rule that fails on a document is a defect of the rule; it costs that document, which
    becomes a dead letter, and not the job.

    Args:
        corpus: Says which rules, with which limits.
    """

    def __init__(self, corpus: config.Corpus) -> None:
        super().__init__()
        self.corpus = corpus

    def expand(self, documents: Any) -> Any:
        """Judges each document on its own."""
        return documents | beam.ParDo(_Judge(self.corpus)).with_outputs("dead", main="judged")


class _Judge(beam.DoFn):
    def __init__(self, corpus: config.Corpus) -> None:
        self.corpus = corpus

    def setup(self) -> None:
        """Makes the rules in the worker: they are closures, which do not travel."""
        self.rules = rules(self.corpus)

    def process(self, document: Document) -> Iterator[Any]:
        try:
            yield judge(document, self.rules, name_language=self.corpus.language is not None)
        except Exception as error:
            # Not the error's message: it may quote the text.
            problem = f"a rule failed on document {document.id}: {type(error).__name__}"
            letter = DeadLetter(document.source, document.id, None, None, problem)
            yield beam.pvalue.TaggedOutput("dead", letter)
