"""Precision and recall of redaction on presidio-evaluator's annotated texts, and its speed.

    .venv/bin/python benchmarks/redaction.py

1,500 short texts made by templates, with the spans of what is personal in them. A span that was
found is right if it overlaps one that is annotated of its kind; an annotated one is found if a
redacted span of any kind covers it whole.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from llm_keras import config
from llm_keras.data.redaction import FINDERS, redact

#: Annotation -> kind.
KINDS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IP_ADDRESS": "ip",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
}


class Score(NamedTuple):
    """How well one kind is found.

    Args:
        annotated: Spans annotated.
        found: Spans found.
        precision: Share of those found that are right.
        recall: Share of those annotated that are gone.
        missed: What was not found.
        wrong: What was found and is not annotated.
    """

    annotated: int
    found: int
    precision: float
    recall: float
    missed: tuple[str, ...]
    wrong: tuple[str, ...]


def score(rows: Sequence[Mapping[str, Any]]) -> dict[str, Score]:
    """Scores each kind that is annotated, by its annotation's name."""
    scores = {}
    for entity, kind in KINDS.items():
        missed, wrong, annotated, found = [], [], 0, 0
        for row in rows:
            text = row["full_text"]
            spans = [
                (span["start_position"], span["end_position"])
                for span in row["spans"]
                if span["entity_type"] == entity
            ]
            all_found = [each for find in FINDERS.values() for each in find(text)]
            of_kind = list(FINDERS[kind](text))
            annotated += len(spans)
            found += len(of_kind)
            missed += [text[a:b] for a, b in spans if not _covered(a, b, all_found)]
            wrong += [text[a:b] for a, b in of_kind if not any(a < d and c < b for c, d in spans)]
        precision = 1 - len(wrong) / max(found, 1)
        recall = 1 - len(missed) / max(annotated, 1)
        scores[entity] = Score(annotated, found, precision, recall, tuple(missed), tuple(wrong))
    return scores


def _covered(start: int, end: int, found: Sequence[tuple[int, int]]) -> bool:
    return any(low <= start and end <= high for low, high in found)


def main() -> None:
    """Prints the table."""
    from tests.packages import fetch_sdist

    (file,) = fetch_sdist("presidio-evaluator", "0.3.2").rglob("synth_dataset_v2.json")
    rows = json.loads(file.read_text(encoding="utf-8"))
    print(f"{'':14}  annotated  found  precision  recall")
    for entity, each in score(rows).items():
        line = f"{entity:14}  {each.annotated:9}  {each.found:5}"
        print(f"{line}  {each.precision:9.3f}  {each.recall:6.3f}")
        if "--show" in sys.argv:
            print("  missed:", *each.missed, sep="\n    ")
            print("  wrong:", *each.wrong, sep="\n    ")
    speeches = Path(__file__).parent.parent / "examples" / "data" / "state_of_the_union"
    texts = [path.read_text(encoding="utf-8") for path in sorted(speeches.glob("*.txt"))]
    for name, some in (
        ("annotated texts", [row["full_text"] for row in rows]),
        ("speeches", texts),
    ):
        start = time.process_time()
        for text in some:
            redact(text, config.Redaction())
        size = sum(len(text.encode()) for text in some)
        print(f"{name}: {size / (time.process_time() - start) / 1e6:.1f} MB a second of one core")


if __name__ == "__main__":
    main()
