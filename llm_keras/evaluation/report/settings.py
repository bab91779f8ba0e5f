"""What another person needs to make the same run again: settings, versions, hashes, machine."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from llm_keras import run_file
from llm_keras.evaluation.report.facts import RunFacts
from llm_keras.pages.markup import Html, section, table, tag

PACKAGES = ("llm-keras", "tensorflow", "keras", "numpy", "apache-beam", "sentencepiece")


def settings(facts: RunFacts) -> Html:
    """The section that closes the report."""
    return section(
        "Settings and origin",
        table([], [*_hashes(facts), *_origin()]),
        tag(
            "details",
            tag("summary", "All settings of this run (run.yaml)"),
            tag("pre", run_file.dump(facts.run)),
        ),
    )


def _hashes(facts: RunFacts) -> list[tuple[str, str]]:
    manifest = facts.manifest or {}
    named = {"tokenizer SHA-256": "tokenizer_sha256", "corpus settings": "settings_hash"}
    return [
        (name, tag("code", str(manifest[key]))) for name, key in named.items() if key in manifest
    ]


def _origin() -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    return [
        ("report written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("on", f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"),
        ("with", f"Python {platform.python_version()}, {versions}"),
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name as Linux gives it, or what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
