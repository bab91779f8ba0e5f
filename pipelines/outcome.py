"""What a curation came to: the content of curation.json, and what makes it unusable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from llm_keras import config
from llm_keras.data.document import splits_of
from llm_keras.errors import LLMKerasError, UserError
from pipelines import judge
from pipelines.counts import Counts
from pipelines.curation_steps import STEPS, describe_step
from pipelines.sources import KINDS
from pipelines.steps.finish import CONTAMINATED, REASONS, REPEATED_LINES
from pipelines.steps.near import NEAR
from pipelines.steps.read import FIRST_DEAD, TAKEN_DOWN

FORMAT = 2


class CountError(LLMKerasError):
    """The pipeline lost or invented documents: a defect of the pipeline, not of its input."""


def describe(run: config.Run, counts: Counts, ignored_files: Mapping[str, int]) -> dict[str, Any]:
    """Makes the content of curation.json.

    Args:
        run: The settings.
        counts: Sums of what the steps counted.
        ignored_files: For each source, files passed over because of their names.
    """
    sources = {
        source.name: _source(run.corpus, source, counts["sources"].get(source.name, {}))
        | {"ignored_files": ignored_files.get(source.name, 0)}
        for source in run.corpus.sources
    }
    splits = {
        name: counts.get("splits", {}).get(name, {"documents": 0, "bytes": 0})
        for name in splits_of(run.corpus)
    }
    known = ("subsets", "licences", "languages", "histograms")
    return {
        "format": FORMAT,
        "sources": sources,
        **{name: counts[name] for name in known if name in counts},
        "splits": splits,
        "steps": [
            describe_step(name, counts["steps"][name]) for name in STEPS if name in counts["steps"]
        ],
        "files": counts["files"],
        "settings_hash": settings_hash(run),
    }


def _source(
    corpus: config.Corpus, source: config.Source, counted: Mapping[str, Any]
) -> dict[str, Any]:
    """The numbers of one source."""
    names = ("in", "kept", "dead", "bytes_in", "bytes_kept")
    dropped = dict.fromkeys(reasons_of(corpus, source), 0) | counted.get("dropped", {})
    return {name: counted.get(name, 0) for name in names} | {
        "bytes_kept_for_training": counted.get("kept_in", {}).get("train", 0),
        "dropped": dropped,
        "redacted": counted.get("redacted", {}),
        "removed_lines": counted.get("removed_lines", {}),
        "first_dead": dict(sorted(counted.get("first_dead", {}).items())[:FIRST_DEAD]),
    }


def reasons_of(corpus: config.Corpus, source: config.Source) -> list[str]:
    """Every reason for which a document of a source may be dropped, in the order of the steps."""
    deduplicate = corpus.deduplicate
    later = {
        REASONS["urls"]: deduplicate.urls,
        REASONS["duplicates"]: deduplicate.exact,
        REPEATED_LINES: deduplicate.lines,
        REASONS[NEAR]: deduplicate.near is not None,
        CONTAMINATED: corpus.decontaminate is not None,
    }
    return [
        *KINDS[source.kind].reasons,
        TAKEN_DOWN,
        *judge.reasons_of(corpus, source.name),
        *(reason for reason, on in later.items() if on),
    ]


def settings_hash(run: config.Run) -> str:
    """Of everything that decides the output; the number of workers does not."""
    settings = run.corpus.model_dump(mode="json", exclude={"workers"}) | {"seed": run.seed}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def check(run: config.Run, curation: Mapping[str, Any]) -> None:
    """Refuses a curation that does not add up, or that nothing can be trained on.

    Raises:
        CountError: Documents were lost on the way.
        UserError: Too much could not be read, or too much was dropped.
    """
    sources = curation["sources"]
    check_balance(sources)
    _check_readable(sources)
    _check_dead_fraction(run, sources)
    _check_kept(sources)
    _check_subsets(run, curation.get("subsets", {}))
    _check_splits(run, curation["splits"])


def check_balance(sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks that in = kept + dropped + dead for every source.

    Raises:
        CountError: With the figures of the first source that does not balance.
    """
    for name, counts in sources.items():
        dropped = sum(counts["dropped"].values())
        if counts["in"] != counts["kept"] + dropped + counts["dead"]:
            raise CountError(
                f"corpus source {name}: {counts['in']} in, but {counts['kept']} kept + {dropped}"
                f" dropped + {counts['dead']} dead; the pipeline is at fault, not the corpus"
            )


def _first_dead(name: str, counts: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {place}: {error}" for place, error in counts["first_dead"].items()]


def _check_readable(sources: Mapping[str, Mapping[str, Any]]) -> None:
    for name, counts in sources.items():
        if counts["in"] == counts["dead"]:
            dead = "; ".join(_first_dead(name, counts))
            found = (
                f"none of {counts['in']} could be read: {dead}" if dead else "its files hold none"
            )
            raise UserError(
                f"corpus source {name}: expected documents, but {found};"
                " correct the files, or the source's kind, encoding or text_field"
            )


def _check_dead_fraction(run: config.Run, sources: Mapping[str, Mapping[str, Any]]) -> None:
    first = [letter for name, counts in sources.items() for letter in _first_dead(name, counts)]
    dead = "; ".join(first[:FIRST_DEAD])
    seen, unread = _sum(sources, "in"), _sum(sources, "dead")
    most = run.corpus.maximum_dead_fraction
    if unread > most * seen:
        raise UserError(
            f"corpus: {unread} of {seen} documents ({unread / seen:.2%}) could not be read, more"
            f" than corpus.maximum_dead_fraction {most:.2%}: {dead};"
            " correct them, or raise that fraction"
        )


def _check_kept(sources: Mapping[str, Mapping[str, Any]]) -> None:
    if not _sum(sources, "kept"):
        reasons: dict[str, int] = {}
        for counts in sources.values():
            for reason, number in counts["dropped"].items():
                reasons[reason] = reasons.get(reason, 0) + number
        named = ", ".join(f"{reason} {number}" for reason, number in reasons.items() if number)
        raise UserError(
            f"corpus: every document was dropped ({named});"
            " loosen corpus.language, corpus.length or corpus.repetition"
        )


def _check_subsets(run: config.Run, subsets: Mapping[str, int]) -> None:
    for name in run.corpus.validation_subsets:
        if name not in subsets:
            there = ", ".join(sorted(subsets)) or "no subsets"
            raise UserError(
                f"corpus.validation_subsets: expected documents of {name!r}, but there are only"
                f" {there}; correct the name, or remove it"
            )


def _check_splits(run: config.Run, splits: Mapping[str, Mapping[str, int]]) -> None:
    kept = sum(part["documents"] for part in splits.values())
    chosen = f"corpus.validation_fraction {run.corpus.validation_fraction:g} and seed {run.seed}"
    if run.corpus.validation_subsets:
        chosen = f"corpus.validation_subsets {', '.join(run.corpus.validation_subsets)}"
    for name, part in splits.items():
        if not part["documents"] and name != "test":
            raise UserError(
                f"corpus: none of {kept} documents fell into the {name} split with {chosen};"
                " change one of them, or add documents"
            )


def _sum(sources: Mapping[str, Mapping[str, Any]], name: str) -> int:
    return sum(counts[name] for counts in sources.values())
