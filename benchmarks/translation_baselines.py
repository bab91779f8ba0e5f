"""BLEU and chrF of translating without having learnt: copying, and looking up the nearest verse.

    .venv/bin/python benchmarks/translation_baselines.py runs/translation

The run must be curated. Prints a Markdown table of all held-out pairs and of each held-out book.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from llm_keras.evaluation.translation import judge_of, pairs_of, remember
from llm_keras.evaluation.translation_score import signatures
from llm_keras.run_folder import RunFolder


def main(root: str) -> None:
    """Scores both baselines on all held-out pairs of a run."""
    folder = RunFolder(Path(root))
    known, held_out = list(pairs_of(folder, "train")), list(pairs_of(folder, "validation"))
    sources, judge = [pair.text for pair in held_out], judge_of(held_out)
    start = time.perf_counter()
    remembered = remember(known).translate(sources)
    seconds = time.perf_counter() - start
    copied, found = judge(sources), judge(remembered)
    print(f"{len(known):,} pairs to learn from, {len(held_out):,} held out")
    print(f"translation memory: indexed and looked up in {seconds:.1f} s\n")
    print(
        "| book | pairs | copy, BLEU / chrF | translation memory, BLEU / chrF |\n|---|---|---|---|"
    )
    rows = [("all", len(held_out), copied, found)]
    rows += [
        (name, each["pairs"], copied["subsets"][name], each)
        for name, each in found["subsets"].items()
    ]
    for name, pairs, *scores in rows:
        figures = " | ".join(f"{score['bleu']:.2f} / {score['chrf']:.2f}" for score in scores)
        print(f"| {name} | {pairs} | {figures} |")
    print()
    for name, signature in signatures().items():
        print(f"{name}: `{signature}`")


if __name__ == "__main__":
    main(*sys.argv[1:])
