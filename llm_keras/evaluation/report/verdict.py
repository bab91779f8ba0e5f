"""The result of a run in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llm_keras.evaluation.report.markup import number


@dataclass(frozen=True)
class Verdict:
    """How the model stands against the n-gram baselines.

    Attributes:
        level: good beats all of them, fair some, weak none; open is not known yet.
    """

    level: Literal["good", "fair", "weak", "open"]
    headline: str
    detail: str


def verdict(evaluation: Mapping[str, Any] | None) -> Verdict:
    """Compares cross-entropies; the sentence names the hardest baseline beaten and the next one."""
    if evaluation is None:
        return Verdict("open", "Not yet evaluated", "Held-out quality and baselines will be here.")
    mine = evaluation["cross_entropy"]
    weakest_first = sorted(
        evaluation["baselines"].items(), key=lambda item: -float(item[1]["cross_entropy"])
    )
    beaten = [name for name, score in weakest_first if mine < score["cross_entropy"]]
    ahead = [name for name, score in weakest_first if mine >= score["cross_entropy"]]
    named = [*beaten[-1:], *ahead[:1]]
    figures = " and ".join(
        f"{number(evaluation['baselines'][name]['perplexity'])} ({name})" for name in named
    )
    detail = f"Held-out perplexity {number(evaluation['perplexity'])}, against {figures}."
    if not ahead:
        return Verdict("good", f"The model beats the {beaten[-1]} baseline", detail)
    if not beaten:
        return Verdict("weak", f"The model has not yet beaten the {ahead[0]} baseline", detail)
    return Verdict(
        "fair", f"The model beats the {beaten[-1]} baseline, not yet the {ahead[0]}", detail
    )
