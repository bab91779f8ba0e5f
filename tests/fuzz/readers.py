"""Feeds a reader whatever Atheris thinks of: no input may end it, or keep it for seconds.

    make fuzz KIND=warc RUNS=100000 [SUFFIX=.warc.gz]

A crash is an exception, or a result that is no `Found`; the input that made it is kept by Atheris
as `crash-...`. Inputs start from those in tests/fuzz/seeds/KIND, if there are any.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["pipelines"]):
    from llm_keras import config
    from pipelines.sources import KINDS, Passed, Text, Unreadable

SECONDS = 5.0


def main() -> None:
    """`readers.py KIND SUFFIX`, and then what libFuzzer takes, such as -runs=1000."""
    kind, suffix = sys.argv[1:3]
    columns = {"text": "text"} if kind in ("jsonl", "parquet") else None
    fetch = {"user_agent": "a test"} if kind == "fetch" else None
    source = config.Source.model_validate(
        {"name": "s", "kind": kind, "path": ".", "columns": columns, "fetch": fetch}
    )
    read = KINDS[source.kind].read
    scratch = Path(tempfile.mkdtemp())
    path = scratch / f"input{suffix or KINDS[source.kind].suffixes[0]}"
    found_units = scratch / "units"
    found_units.mkdir()

    def one(data: bytes) -> None:
        path.write_bytes(data)
        start = time.monotonic()
        for found in read(path, source):
            if not isinstance(found, Text | Passed | Unreadable):
                raise TypeError(f"{type(found).__name__} is nothing that a reader yields")
        if time.monotonic() - start > SECONDS:
            raise TimeoutError(f"more than {SECONDS} s for {len(data)} bytes")

    seeds = Path(__file__).parent / "seeds" / kind
    # New units go to the first folder.
    given = [str(found_units), *([str(seeds)] if seeds.is_dir() else [])]
    atheris.Setup([sys.argv[0], *sys.argv[3:], *given], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
