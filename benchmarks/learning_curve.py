"""The validation curve of a run beside its n-gram baselines, as a table and a picture.

    .venv/bin/python benchmarks/learning_curve.py runs/small [PICTURE.svg]

Reads `validation.jsonl`, `metrics.jsonl` and the records of a run folder. Baselines are counted on
the training rows and asked for all held-out tokens; training's own validations ask for as many rows
as `training.validation_rows` says. Hours are those of the steps, as `metrics.jsonl` tells them.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from llm_keras.data.records import RecordStore
from llm_keras.evaluation.baselines import baseline_scores
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Prints the table; draws the picture where asked to."""
    folder = RunFolder(Path(sys.argv[1]))
    training, held_out = (RecordStore(folder.corpus, name) for name in ("train", "validation"))
    bos = SentencePieceTokenizer(folder.tokenizer_model).bos_id
    baselines = {
        name: score.cross_entropy
        for name, score in baseline_scores(
            training, held_out, bos_id=bos, maximum_tokens=20_000_000
        ).items()
    }
    steps = _lines(folder.metrics)
    curve = [
        (
            validation["step"],
            sum(step["tokens"] for step in steps[: validation["step"]]),
            sum(s["tokens"] / s["tokens_per_second"] for s in steps[: validation["step"]]) / 3600,
            validation["loss"],
        )
        for validation in _lines(folder.validation_metrics)
    ]
    print("| step | million tokens | hours | cross-entropy | perplexity |\n|---|---|---|---|---|")
    for step, tokens, hours, loss in curve:
        print(f"| {step} | {tokens / 1e6:.2f} | {hours:.2f} | {loss:.3f} | {math.exp(loss):.1f} |")
    for name, loss in baselines.items():
        print(f"| {name} | | | {loss:.3f} | {math.exp(loss):.1f} |")
    if len(sys.argv) > 2:
        _draw(curve, baselines, Path(sys.argv[2]))


def _draw(
    curve: list[tuple[int, int, float, float]], baselines: dict[str, float], path: Path
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([point[1] / 1e6 for point in curve], [point[3] for point in curve], marker="o")
    for name, loss in baselines.items():
        axes.axhline(loss, linestyle="--", linewidth=0.8, color="gray")
        axes.annotate(name, (curve[-1][1] / 1e6, loss), va="bottom", ha="right", color="gray")
    axes.set_xlabel("training tokens, millions")
    axes.set_ylabel("held-out cross-entropy, nats a token")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
