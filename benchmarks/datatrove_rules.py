"""What datatrove decides about documents; run by a Python that has it (see rule_parity.py).

    PYTHON benchmarks/datatrove_rules.py decide DOCUMENTS RESULTS
    PYTHON benchmarks/datatrove_rules.py time DOCUMENTS RESULTS
    PYTHON benchmarks/datatrove_rules.py cases DOCUMENTS RESULTS

DOCUMENTS has one JSON string a line, RESULTS gets one JSON value a line: with `decide` the decision
of every filter, the words that spaCy split and the sentences it counted; with `time` one line, the
seconds that each filter took for all documents; with `cases` one, the special cases of spaCy.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)

FILTERS: dict[str, Any] = {
    "gopher_quality": GopherQualityFilter(),
    "gopher_repetition": GopherRepetitionFilter(),
    # The corpus's own numbers, and those of FineWeb, which are the filter's defaults.
    "c4": C4QualityFilter(min_words_per_line=5, min_num_sentences=3),
    "c4_fineweb": C4QualityFilter(filter_no_terminal_punct=False),
    "fineweb": FineWebQualityFilter(),
}


def decide(name: str, text: str) -> tuple[str, str]:
    """The reason for which a filter drops a text, empty if it does not; and what is left of it."""
    document = Document(text=text, id="0")
    try:
        answer = FILTERS[name].filter(document)
    except (ZeroDivisionError, ValueError) as error:
        return f"error {type(error).__name__}", ""
    kept = answer is True
    digest = hashlib.sha256(document.text.encode()).hexdigest()[:16] if kept else ""
    return "" if kept else answer[1], digest


def decide_all(texts: list[str]) -> Any:
    """Decisions of all filters, with the words they were made by."""
    split = functools.lru_cache(maxsize=8)(gopher_quality_filter.split_into_words)
    for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
        module.split_into_words = split
    original = c4_filters.split_into_sentences
    marks = c4_filters.END_PUNCTUATION
    for text in texts:
        sentences: dict[str, int] = {}

        def counted(line: str, language: str, into: dict[str, int] = sentences) -> range:
            into.setdefault(line, len(original(line, language)) if line not in into else 0)
            return range(into[line])

        c4_filters.split_into_sentences = counted
        rules = {name: decide(name, text) for name in FILTERS}
        # As in the paper, and in TensorFlow Datasets: an apostrophe ends no line.
        c4_filters.END_PUNCTUATION = tuple(mark for mark in marks if mark != "'")
        rules["c4_paper"] = decide("c4", text)
        c4_filters.END_PUNCTUATION = marks
        yield {"rules": rules, "words": split(text, "eng"), "sentences": sentences}


def time_all(texts: list[str]) -> Any:
    """Seconds of each filter."""
    seconds = {}
    for name in FILTERS:
        decide(name, "Loads what is loaded once.")
        start = time.process_time()
        for text in texts:
            decide(name, text)
        seconds[name] = time.process_time() - start
    yield seconds


def special_cases(texts: list[str]) -> Any:
    """Each special case with the words that it becomes."""
    import spacy
    from spacy.symbols import ORTH

    cases = spacy.blank("en").tokenizer.rules
    yield {text: [word[ORTH] for word in words] for text, words in cases.items()}


def main() -> None:
    """Runs what is asked for."""
    what, documents, results = sys.argv[1:]
    texts = [json.loads(line) for line in Path(documents).read_text().splitlines()]
    answers = {"decide": decide_all, "time": time_all, "cases": special_cases}[what](texts)
    with Path(results).open("w") as file:
        for answer in answers:
            file.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
