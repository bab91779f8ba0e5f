"""Which checkpoints and exports of a run were trained on another corpus than a certain one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_keras.run_folder import RunFolder

#: Where an exported model says what it is; see `llm_keras.export`.
_ABOUT = Path("assets.extra") / "llm_keras.json"
#: What weights were trained on that came from elsewhere, and on nothing here.
_NOTHING_HERE = "nothing"


def trained_on(folder: RunFolder, corpus_left: str | None) -> Iterator[str]:
    """One line for each checkpoint and export that learnt from another corpus, or may have.

    Args:
        folder: The run's.
        corpus_left: Fingerprint of the corpus that is left; see `Manifest.fingerprint`.
    """
    good = (corpus_left, _NOTHING_HERE)
    steps: dict[int, str | None] = {}
    for path in sorted(folder.checkpoints.glob("*step-*/manifest.json")):
        about = _read(path)
        steps[int(about.get("step", -1))] = corpus = _corpus_of_checkpoint(about)
        if corpus is None or corpus not in good:
            yield f"{path.parent}{_unknown(corpus)}"
    for path in sorted(folder.export.glob("*/saved_model.pb")):
        about = _read(path.parent / _ABOUT)
        corpus = steps.get(int(about.get("step", -1)))
        if "corpus_sha256" in about:
            corpus = about["corpus_sha256"] or _NOTHING_HERE
        if corpus is None or corpus not in good:
            yield f"{path.parent}{_unknown(corpus)}"
    for path in (folder.export_safetensors, folder.export_gguf):
        if path.exists():
            yield f"{path}{_unknown(None)}"


def _corpus_of_checkpoint(about: dict[str, Any]) -> str | None:
    if about and "optimizer.safetensors" not in about.get("files", {}):
        return _NOTHING_HERE
    corpus = about.get("data", {}).get("corpus")
    return None if corpus is None else str(corpus)


def _unknown(corpus: str | None) -> str:
    return "" if corpus else " (does not say on what)"


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}
