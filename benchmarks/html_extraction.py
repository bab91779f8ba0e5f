"""HTML to text: how much of a page's text is found, how little else, and how fast, beside others.

    .venv/bin/python benchmarks/html_extraction.py [--runs 5]

Two sets of pages whose source is known word for word, so that nobody had to mark anything:

- "debian": the chapters of Debian's developer's reference, and their reStructuredText. The folder
  is that of the tests (`.cache/packages`), or is made by `apt-get download developers-reference`
  and `dpkg-deb -x`, and named by `--debian`.
- "docs": the documentation of this repository as `make check` builds it (`.venv/site`), and its
  Markdown.

Both mark their main part, which makes it easy; "unmarked" are the same pages without those marks.

Words are compared as multisets, without markup on either side. "Boilerplate" counts phrases of the
two templates' menus and footers that are left. Others take part if they are installed: trafilatura,
resiliparse, readability-lxml, jusText, inscriptis. Contenders take turns, and medians of the
processor's time are printed. Fails if another is better by more than `MARGIN` in F1,
the mean of all sets.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
MARGIN = 0.005
DEPTHS = (1_000, 4_000, 9_000)

Extract = Callable[[str], str]

_RST = (
    (r"^\.\. _.*$", ""),
    (r"^\.\. (toctree|index|only|highlight|raw|include)::.*(?:\n(?:[ \t].*)?)*", ""),
    (r"^\.\. [\w-]+::", ""),
    (r":[\w:-]+:`([^`<]*?)\s*<[^>]*>`", r"\1"),
    (r":[\w:-]+:`([^`]*)`", r"\1"),
    (r"`([^`<]*?)\s*<[^>]*>`_{0,2}", r"\1"),
)
_MARKDOWN = (
    (r"!\[[^\]]*\]\([^)]*\)", ""),  # pictures: what they show is no text of the page
    (r"\[([^\]]*)\]\([^)]*\)", r"\1"),
    (r"^```\w*$", ""),
    (r"^!!!.*$", ""),
)
_BOILERPLATE = re.compile(
    r"Quick search|Previous topic|Next topic|This Page|Show Source|Navigation|Table of Contents"
    r"|Created using|Developer\W?s Reference \d|\u00b6|Keyboard Shortcuts|Documentation built"
)
_WORD = re.compile(r"\w+")


class Page(NamedTuple):
    """A page and the words of its source."""

    html: str
    gold: Counter[str]


def words(text: str) -> Counter[str]:
    """How often each word stands in a text, capitals or not."""
    return Counter(_WORD.findall(text.lower()))


def plain(source: str, rules: tuple[tuple[str, str], ...]) -> str:
    """A source without its markup."""
    for pattern, replacement in rules:
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source


def debian(folder: Path) -> Iterator[Page]:
    """Chapters of the developer's reference."""
    for source in sorted(folder.rglob("_sources/*.rst.txt")):
        page = source.parents[1] / (source.name.removesuffix(".rst.txt") + ".html")
        yield Page(page.read_text(), words(plain(source.read_text(), _RST)))


def docs(folder: Path) -> Iterator[Page]:
    """Pages of this repository's documentation."""
    for source in sorted((ROOT / "docs").rglob("*.md")):
        inside = source.relative_to(ROOT / "docs")
        stem = inside.parent if inside.stem == "index" else inside.with_suffix("")
        page = folder / stem / "index.html"
        if page.is_file():
            yield Page(page.read_text(), words(plain(source.read_text(), _MARKDOWN)))


def unmarked(page: Page) -> Page:
    """A page that does not say which part of it is the main one."""
    html = re.sub(r"""\srole=["']?(main|document)["']?""", "", page.html)
    return page._replace(html=re.sub(r"<(/?)(?:main|article)\b", r"<\1div", html))


def contenders() -> dict[str, Extract]:
    """Ours, and those that are installed."""
    from pipelines.web import html_text

    found: dict[str, Extract] = {"ours": html_text.extract}
    for name, module, make in _OTHERS:
        try:
            found[name] = make(importlib.import_module(module))
        except ImportError:
            print(f"{name}: not installed")
    return found


def _readability(module: object) -> Extract:
    from lxml import html as lxml_html

    def extract(html: str) -> str:
        return lxml_html.fromstring(module.Document(html).summary()).text_content()

    return extract


def _justext(module: object) -> Extract:
    stop_words = module.get_stoplist("English")

    def extract(html: str) -> str:
        paragraphs = module.justext(html.encode(), stop_words)
        return "\n".join(each.text for each in paragraphs if not each.is_boilerplate)

    return extract


_OTHERS: tuple[tuple[str, str, Callable[[object], Extract]], ...] = (
    (
        "resiliparse, main content",
        "resiliparse.extract.html2text",
        lambda module: functools.partial(
            module.extract_plain_text, main_content=True, alt_texts=False
        ),
    ),
    (
        "resiliparse, all text",
        "resiliparse.extract.html2text",
        lambda module: functools.partial(
            module.extract_plain_text, main_content=False, alt_texts=False
        ),
    ),
    (
        "trafilatura",
        "trafilatura",
        lambda module: lambda html: module.extract(html, include_comments=False) or "",
    ),
    (
        "trafilatura, fast",
        "trafilatura",
        lambda module: lambda html: module.extract(html, fast=True, include_comments=False) or "",
    ),
    ("readability", "readability", _readability),
    ("jusText", "justext", _justext),
    ("inscriptis (all text)", "inscriptis", lambda module: module.get_text),
)


def score(pages: list[Page], texts: list[str]) -> tuple[float, float, float, int]:
    """Precision, recall and F1 of all words together, and boilerplate left."""
    common = found = expected = 0
    for page, text in zip(pages, texts, strict=True):
        got = words(text)
        common += (got & page.gold).total()
        found, expected = found + got.total(), expected + page.gold.total()
    precision, recall = common / max(found, 1), common / max(expected, 1)
    left = sum(len(_BOILERPLATE.findall(text)) for text in texts)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9), left


def measure(pages: list[Page], ways: dict[str, Extract], runs: int) -> dict[str, float]:
    """Prints a table of one set of pages; returns F1 by contender."""
    texts: dict[str, list[str]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, extract in ways.items():
            start = time.process_time()
            texts[name] = [extract(page.html) for page in pages]
            seconds[name].append(time.process_time() - start)
    characters = sum(len(page.html) for page in pages)
    print(f"{len(pages)} pages, {characters / len(pages) / 1000:.0f} k characters each")
    print("| extractor | precision | recall | F1 | boilerplate | pages/s | MB/s |")
    print("|---|---|---|---|---|---|---|")
    results = {}
    for name in ways:
        precision, recall, f1, left = score(pages, texts[name])
        took = statistics.median(seconds[name])
        speed = f"{len(pages) / took:.0f} | {characters / took / 1e6:.1f}"
        print(f"| {name} | {precision:.3f} | {recall:.3f} | {f1:.3f} | {left} | {speed} |")
        results[name] = f1
    return results


def nested(ways: dict[str, Extract]) -> None:
    """Prints how long pages of nested elements take: the time must not grow with their square."""
    print("seconds for a page of nested div:")
    print("| extractor | " + " | ".join(f"{depth:,}" for depth in DEPTHS) + " |")
    print("|---|" + "---|" * len(DEPTHS))
    for name, extract in ways.items():
        seconds = []
        for depth in DEPTHS:
            page = "<div>" * depth + "A few words, and then some more of them. " * 9
            start = time.process_time()
            try:
                found = bool(extract(page))
            except Exception:  # whatever it raises, it says that it cannot
                found = False
            took = time.process_time() - start
            seconds.append(f"{took:.2f}" if found else f"{took:.2f}, no text")
        print(f"| {name} | {' | '.join(seconds)} |")


def main() -> int:
    """Measures all sets; returns 1 if ours is not among the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    cache = ROOT / ".cache" / "packages" / "apt-get-developers-reference"
    parser.add_argument("--debian", type=Path, default=cache)
    parser.add_argument("--docs", type=Path, default=ROOT / ".venv" / "site")
    arguments = parser.parse_args()
    ways, sums = contenders(), Counter()
    sets = {"debian": list(debian(arguments.debian)), "docs": list(docs(arguments.docs))}
    for name in tuple(sets):
        sets[f"{name}, unmarked"] = [unmarked(page) for page in sets[name]]
    for name, pages in sets.items():
        if not pages:
            print(f"{name}: no pages; see the first lines of this script for where to get them")
            continue
        print(f"{name}: ", end="")
        sums.update(measure(pages, ways, arguments.runs))
    nested(ways)
    return int(sums["ours"] + MARGIN * len(sets) < max(sums.values(), default=0))


if __name__ == "__main__":
    sys.exit(main())
