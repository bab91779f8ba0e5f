"""How good the model is: the table beside the baselines, and samples to read."""

from __future__ import annotations

from llm_keras.evaluation.report.facts import Facts, RunFacts
from llm_keras.pages.markup import (
    Html,
    excerpt,
    missing,
    number,
    section,
    size,
    table,
    tag,
)

MOST_SAMPLES = 12
SAMPLE_CHARACTERS = 1500


def quality(facts: RunFacts) -> Html:
    """The section with the evaluation table; lower is better in every column."""
    title = "Quality on held-out documents"
    evaluation = facts.evaluation
    if evaluation is None:
        return section(title, missing("Not evaluated yet:", "llm-keras evaluate"))
    rows = [_row("this model", evaluation)]
    rows += [_row(name, score) for name, score in evaluation["baselines"].items()]
    rows.sort(key=lambda row: float(row[0]))
    said = (
        f"After step {number(evaluation['step'])}, over {number(evaluation['targets'])} tokens"
        f" ({size(evaluation['bytes'])}) that were not trained on. Lower is better."
    )
    return section(
        title,
        tag("p", said),
        table(
            ["", "perplexity", "nats per token", "bits per byte"],
            [row[1:] for row in rows],
            mark="this model",
        ),
        tag(
            "p",
            "Perplexity is among how many tokens the model hesitates, on average; it depends on"
            " the tokenizer. Bits per byte does not, and compares across runs. The n-gram models"
            " (interpolated Kneser-Ney) only count which tokens followed one another in"
            f" {_counted(facts)}{_blind(facts)}.",
            class_="note",
        ),
    )


def _counted(facts: RunFacts) -> str:
    """What the baselines were counted on."""
    most = facts.run.evaluation.baseline_tokens
    if facts.manifest and facts.manifest["splits"]["train"]["tokens"] > most:
        return f"the first {number(most)} training tokens"
    return "the same training documents"


def _blind(facts: RunFacts) -> str:
    pairs = facts.run.model.kind == "encoder_decoder"
    return "; they count the targets and never see a source" if pairs else ""


def _row(name: str, score: Facts) -> tuple[str, ...]:
    """A key to sort by, then the cells."""
    return (
        str(score["cross_entropy"]),
        name,
        number(score["perplexity"]),
        number(score["cross_entropy"]),
        number(score["bits_per_byte"]),
    )


def samples(facts: RunFacts) -> Html:
    """The section with what the model writes: the prompt strong, its continuation plain."""
    found = (facts.evaluation or {}).get("samples", [])
    if not found:
        return section("Samples", missing("No samples yet:", "llm-keras evaluate"))
    settings = facts.run.generation
    chosen = f"temperature {settings.temperature:g}, top-p {settings.top_p:g}"
    return section(
        "Samples",
        tag("p", f"Written by the model after the words in bold; {chosen}, not picked by hand."),
        *(
            tag(
                "blockquote",
                tag("b", sample["prompt"]),
                excerpt_after(sample["text"], SAMPLE_CHARACTERS),
                class_="sample",
                dir="auto",
            )
            for sample in found[:MOST_SAMPLES]
        ),
    )


def excerpt_after(continuation: str, characters: int) -> str:
    """`continuation` with its leading space, shortened where it is long."""
    lead = continuation[: len(continuation) - len(continuation.lstrip())]
    return lead + excerpt(continuation, characters)
