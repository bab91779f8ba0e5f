"""Which checkpoints and exports of a run were trained on a corpus, as far as they say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from llm_keras.run_folder import RunFolder

#: Where an exported model says what it is; see `llm_keras.export`.
_ABOUT = Path("assets.extra") / "llm_keras.json"


def trained_on(folder: RunFolder, corpora: Set[str]) -> Iterator[str]:
    """One line for each checkpoint and export that learnt from one of the corpora, or may have.

    Args:
        folder: The run's.
        corpora: Fingerprints; see `Manifest.fingerprint`.
    """
    steps: dict[int, str | None] = {}
    for path in sorted(folder.checkpoints.glob("*step-*/manifest.json")):
        about = _read(path)
        corpus = about.get("data", {}).get("corpus")
        if about and "optimizer.safetensors" not in about.get("files", {}):
            continue  # weights from elsewhere, before any training here
        steps[int(about.get("step", -1))] = corpus
        if corpus is None or corpus in corpora:
            yield f"{path.parent}{'' if corpus else ' (does not say on what)'}"
    for path in sorted(folder.export.glob("*/saved_model.pb")):
        about = _read(path.parent / _ABOUT)
        corpus = about.get("corpus_sha256") or steps.get(int(about.get("step", -1)))
        if corpus is None or corpus in corpora:
            yield f"{path.parent}{'' if corpus else ' (does not say on what)'}"
    for path in (folder.export_safetensors, folder.export_gguf):
        if path.exists():
            yield f"{path} (does not say on what)"


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}
