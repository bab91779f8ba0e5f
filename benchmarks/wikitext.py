"""Wikitext to text beside mwparserfromhell: speed, and how far the words agree.

    .venv/bin/python benchmarks/wikitext.py [--runs 3]

The pages are those of the English dump that the wheel of gensim 4.4.0 holds for its tests, which
the tests of this repository fetch (`.cache/packages`); another folder with it: `--gensim`.
mwparserfromhell takes part if it is installed, as `parse(...).strip_code()`. "Residue" counts
pages in which markup is left: braces of templates, brackets of links, references, rows of tables.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

_RESIDUE = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||<ref|'''|&nbsp;|\bthumb\||^\|", re.MULTILINE)


def articles(path: Path) -> list[str]:
    """The wikitext of every article of a dump."""
    from llm_keras import config
    from pipelines.sources import wikipedia, wikitext

    sources: list[str] = []
    convert = wikitext.to_text

    def note(source: str, hidden: set[str]) -> str:
        sources.append(source)
        return convert(source, hidden)

    with mock.patch.object(wikitext, "to_text", note):
        list(wikipedia.read(path, config.Source(name="s", kind="wikipedia", path=str(path))))
    return sources


def contenders() -> dict[str, Callable[[str], str]]:
    """Ours, and mwparserfromhell if it is there."""
    from pipelines.sources import wikitext

    found: dict[str, Callable[[str], str]] = {"ours": wikitext.to_text}
    try:
        import mwparserfromhell
    except ImportError:
        print("mwparserfromhell: not installed")
    else:
        found["mwparserfromhell"] = lambda source: str(mwparserfromhell.parse(source).strip_code())
    return found


def agreement(ours: str, theirs: str) -> float:
    """F1 of the words of two texts."""
    a, b = (Counter(re.findall(r"\w+", text)) for text in (ours, theirs))
    return 2 * (a & b).total() / max(a.total() + b.total(), 1)


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    cache = ROOT / ".cache" / "packages" / "pip-gensim-4.4.0"
    parser.add_argument("--gensim", type=Path, default=cache)
    arguments = parser.parse_args()
    (path,) = arguments.gensim.rglob("enwiki-latest-pages-articles1.xml-*-shortened.bz2")
    sources = articles(path)
    characters = sum(map(len, sources))
    print(f"{len(sources)} articles, {characters / 1e6:.1f} M characters")
    texts: dict[str, list[str]] = {}
    seconds: dict[str, list[float]] = {}
    for _ in range(arguments.runs):
        for name, convert in contenders().items():
            start = time.process_time()
            texts[name] = [convert(source) for source in sources]
            seconds.setdefault(name, []).append(time.process_time() - start)
    print("| converter | M characters/s | articles/s | words | residue |")
    print("|---|---|---|---|---|")
    for name, found in texts.items():
        took = statistics.median(seconds[name])
        words = sum(len(text.split()) for text in found)
        left = sum(bool(_RESIDUE.search(text)) for text in found)
        speed = f"{characters / took / 1e6:.2f} | {len(sources) / took:.0f}"
        print(f"| {name} | {speed} | {words} | {left} |")
    for name in set(texts) - {"ours"}:
        scores = [agreement(*pair) for pair in zip(texts["ours"], texts[name], strict=True)]
        print(f"median agreement of words with {name}: {statistics.median(scores):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
