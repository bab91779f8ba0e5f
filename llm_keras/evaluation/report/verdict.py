"""The result of a run in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llm_keras.pages.markup import number


@dataclass(frozen=True)
class Verdict:
    """How the model stands against its baselines.

    Attributes:
        level: good beats all of them, fair some, weak none; open is not known yet.
    """

    level: Literal["good", "fair", "weak", "open"]
    headline: str
    detail: str


def verdict(evaluation: Mapping[str, Any] | None) -> Verdict:
    """Compares with the baselines; the sentence names the hardest one beaten and the next one."""
    if evaluation is None:
        return Verdict("open", "Not yet evaluated", "Held-out quality and baselines will be here.")
    if "translation" in evaluation:
        return _of_translations(evaluation["translation"])
    if not evaluation["baselines"]:
        detail = f"Held-out perplexity {number(evaluation['perplexity'])}; there are no baselines."
        return Verdict("open", "Evaluated on held-out answers", detail)
    mine = evaluation["cross_entropy"]
    weakest_first = sorted(
        evaluation["baselines"].items(), key=lambda item: -float(item[1]["cross_entropy"])
    )
    beaten = [name for name, score in weakest_first if mine < score["cross_entropy"]]
    ahead = [name for name, score in weakest_first if mine >= score["cross_entropy"]]
    figures = " and ".join(
        f"{number(evaluation['baselines'][name]['perplexity'])} ({name})"
        for name in [*beaten[-1:], *ahead[:1]]
    )
    detail = f"Held-out perplexity {number(evaluation['perplexity'])}, against {figures}."
    return _sentence(beaten, ahead, detail)


def _of_translations(scores: Mapping[str, Any]) -> Verdict:
    """A baseline is beaten where BLEU and chrF both say so."""
    weakest_first = sorted(scores["baselines"].items(), key=lambda item: float(item[1]["chrf"]))
    beaten = [
        name
        for name, score in weakest_first
        if scores["bleu"] > score["bleu"] and scores["chrf"] > score["chrf"]
    ]
    ahead = [name for name, _ in weakest_first if name not in beaten]
    figures = " and ".join(
        f"{score['bleu']:.1f} / {score['chrf']:.1f} ({name})" for name, score in weakest_first
    )
    detail = (
        f"BLEU {scores['bleu']:.1f} / chrF {scores['chrf']:.1f} on {number(scores['pairs'])}"
        f" held-out pairs, against {figures}."
    )
    return _sentence(beaten, ahead, detail)


def _sentence(beaten: Sequence[str], ahead: Sequence[str], detail: str) -> Verdict:
    """Says which baselines are behind and ahead, the weakest first in both lists."""
    if not ahead:
        return Verdict("good", f"The model beats the {beaten[-1]} baseline", detail)
    if not beaten:
        return Verdict("weak", f"The model has not yet beaten the {ahead[0]} baseline", detail)
    return Verdict(
        "fair", f"The model beats the {beaten[-1]} baseline, not yet the {ahead[0]}", detail
    )
