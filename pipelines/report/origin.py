"""What another person needs to make the same corpus again."""

from __future__ import annotations

from llm_keras import run_file
from llm_keras.pages.markup import Html, details, number, section, size, table, tag
from pipelines.report.facts import CorpusFacts


def origin(facts: CorpusFacts) -> Html:
    """The section that closes the page: hashes, files, settings."""
    rows = [("settings hash", str(facts.curation["settings_hash"]))]
    if facts.manifest:
        rows.append(("tokenizer SHA-256", str(facts.manifest["tokenizer_sha256"])))
    for source, copied in facts.curation.get("downloads", {}).items():
        rows.append((f"source {source}", f"{copied['path']} at commit {copied['commit']}"))
    parts = [table([], rows)]
    files = facts.curation.get("files", {})
    if files:
        listed = [
            (name, number(each["documents"]), size(each["bytes"]), str(each["sha256"])[:16])
            for name, each in sorted(files.items())
        ]
        head = ["file", "documents", "bytes", "SHA-256"]
        parts.append(details("All files of the corpus", table(head, listed)))
    if facts.run is not None:
        dumped = tag("pre", run_file.dump(facts.run))
        parts.append(details("All settings of this run (run.yaml)", dumped))
    return section("Settings and origin", *parts)
