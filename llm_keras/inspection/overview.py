"""A run's folder: how far each stage is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_keras import run_file
from llm_keras.files import read_json
from llm_keras.inspection.window import Window, shown
from llm_keras.pages.markup import number, size
from llm_keras.run_folder import RunFolder


def is_run(path: Path) -> bool:
    """A folder with the settings of a run in it."""
    return RunFolder(path).run_file.is_file()


def show(path: Path, _window: Window) -> Iterator[str]:
    """One line for each stage."""
    folder = RunFolder(path)
    run = run_file.load(folder.run_file)
    yield f"run {path}: {shown(run.purpose) or 'no purpose given'}"
    stages = {
        "curate": _curated(folder),
        "tokenizer": _tokenizer(folder),
        "tokenize": _tokenized(folder),
        "train": _trained(folder, run.training.total_steps),
        "evaluate": _evaluated(folder),
        "export": ", ".join(_names(folder.export, "[0-9]*")),
        "report": folder.report.name if folder.report.exists() else "",
    }
    for name, done in stages.items():
        yield f"  {name:10} {done or 'not yet'}"


def _curated(folder: RunFolder) -> str:
    curation = read_json(folder.curation)
    if curation is None:
        return ""
    sources = curation["sources"].values()
    dropped = sum(sum(source["dropped"].values()) for source in sources)
    came, kept, dead = (sum(source[key] for source in sources) for key in ("in", "kept", "dead"))
    return (
        f"{number(came)} documents in, {number(kept)} kept, {number(dropped)} dropped,"
        f" {number(dead)} unreadable"
    )


def _tokenizer(folder: RunFolder) -> str:
    about = read_json(folder.tokenizer_about)
    if about is None:
        return "imported" if folder.tokenizer_model.exists() else ""
    settings = about["settings"]
    return (
        f"{settings['kind']}, {number(settings['vocabulary_size'])} pieces,"
        f" {number(about['bytes_per_token'])} bytes a token"
    )


def _tokenized(folder: RunFolder) -> str:
    manifest = read_json(folder.manifest)
    if manifest is None:
        return ""
    return ", ".join(
        f"{number(counts['rows'])} {split} rows ({number(counts['tokens'])} tokens,"
        f" {size(counts['bytes'])} of text)"
        for split, counts in manifest["splits"].items()
    )


def _trained(folder: RunFolder, total_steps: int) -> str:
    from llm_keras.evaluation.report.facts import read_series

    series = read_series(folder.metrics)
    if not series:
        return ""
    told = (
        f"step {number(int(series['step'][-1]))} of {number(total_steps)},"
        f" loss {number(float(series['loss'][-1]))}"
    )
    kept = _names(folder.checkpoints, "step-*")
    return f"{told}; checkpoints {', '.join(kept)}" if kept else told


def _evaluated(folder: RunFolder) -> str:
    evaluation: dict[str, Any] | None = read_json(folder.evaluation)
    if evaluation is None:
        return ""
    others = ", ".join(
        f"{name} {number(score['perplexity'])}" for name, score in evaluation["baselines"].items()
    )
    return f"perplexity {number(evaluation['perplexity'])} ({others})"


def _names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in sorted(folder.glob(pattern))]
