"""BLEU and chrF of translations, as sacrebleu computes and signs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def score(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU and chrF, 0 to 100, higher is better.

    References:
        Papineni et al. 2002; Popovic 2015; Post 2018 on why they must be signed.

    >>> score(["the cat sat on the mat"], ["the cat sat on the mat"])
    {'bleu': 100.0, 'chrf': 100.0}
    """
    return {
        name: round(float(metric.corpus_score(list(hypotheses), [list(references)]).score), 4)
        for name, metric in _metrics().items()
    }


def signatures() -> dict[str, str]:
    """How the figures were computed: tokenization, smoothing, version, as papers print it.

    >>> signatures()["bleu"].partition("|version")[0]
    'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp'
    """
    metrics = _metrics()
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])  # only then the number of references is known
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def by_subset(
    hypotheses: Sequence[str], references: Sequence[str], subsets: Sequence[str]
) -> dict[str, dict[str, float]]:
    """`score` of the pairs of each subset, and how many `pairs` they are, alphabetically."""
    scores: dict[str, dict[str, float]] = {}
    for name in sorted(set(subsets)):
        chosen = [place for place, subset in enumerate(subsets) if subset == name]
        found = score([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        scores[name] = {"pairs": len(chosen), **found}
    return scores


def _metrics() -> Mapping[str, Any]:
    # Imported where it is used: curation, planning and serving do not install it.
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return {"bleu": BLEU(), "chrf": CHRF()}
