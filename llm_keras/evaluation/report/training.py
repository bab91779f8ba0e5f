"""How training went: losses beside the baselines, learning rate, speed, gradient norm."""

from __future__ import annotations

import numpy as np

from llm_keras.evaluation.report import charts
from llm_keras.evaluation.report.facts import RunFacts, Series
from llm_keras.pages.markup import Html, missing, number, section, tag

#: Column, title with its unit, whether it is noisy.
SMALL_CHARTS = (
    ("learning_rate", "Learning rate", False),
    ("tokens_per_second", "Tokens per second", True),
    ("grad_norm", "Gradient norm before clipping", True),
)


def training(facts: RunFacts) -> Html:
    """The section about training; says so where there was none yet."""
    series = facts.training
    if not series:
        return section("Training", missing("Not trained yet:", "llm-keras train"))
    baselines = (facts.evaluation or {}).get("baselines", {})
    small = [
        tag("div", tag("h3", title), charts.step_chart(series, column, noisy=noisy))
        for column, title, noisy in SMALL_CHARTS
        if column in series and np.isfinite(series[column]).any()
    ]
    return section(
        "Training",
        tag("p", _told(series, facts.run.training.total_steps)),
        tag("h3", "Cross-entropy"),
        _loss_legend(bool(facts.validation), bool(baselines)),
        *(
            tag("div", charts.loss_chart(series, facts.validation, baselines, width=w), class_=name)
            for name, w in (("wide", 9.4), ("narrow", 3.9))
        ),
        tag("div", *small, class_="grid"),
    )


def _told(series: Series, total_steps: int) -> str:
    """Steps, tokens and time in a sentence."""
    steps = int(series["step"][-1])
    told = f"{number(steps)} of {number(total_steps)} steps"
    if "tokens" in series and "tokens_per_second" in series:
        tokens, speed = series["tokens"], series["tokens_per_second"]
        told += f", {number(int(np.nansum(tokens)))} tokens"
        with np.errstate(divide="ignore", invalid="ignore"):
            seconds = tokens / speed
        told += f", {duration(float(seconds[np.isfinite(seconds)].sum()))} in training steps"
    return told + "."


def duration(seconds: float) -> str:
    """Seconds as a person would say them.

    >>> duration(42.3), duration(312), duration(7500)
    ('42 s', '5.2 min', '2.1 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _loss_legend(validated: bool, compared: bool) -> Html:
    entries = [("training", "training, faint each step, strong a moving average")]
    if validated:
        entries.append(("validation", "held-out documents"))
    if compared:
        entries.append(("baseline", "baselines, with their perplexity"))
    return charts.legend(*entries)
