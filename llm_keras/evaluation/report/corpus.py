"""What the model was made from: the corpus funnel, examples of documents, the tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from llm_keras.data.curated import documents
from llm_keras.evaluation.report.facts import Facts, RunFacts
from llm_keras.files import read_json
from llm_keras.pages.markup import (
    Html,
    join,
    long_table,
    missing,
    number,
    section,
    size,
    table,
    tag,
)
from llm_keras.pages.quotes import figure

EXCERPT_CHARACTERS = 320
KEPT_EXAMPLES = 3
DROPPED_EXAMPLES = 5
#: Documents looked through for examples of different sources and reasons.
EXAMPLES_SEEN = 500
#: Colours for reasons; the last one is shared by all further ones.
SHADES = 5
SPLIT_NAMES = {"train": "training", "test": "testing"}


def corpus(facts: RunFacts) -> Html:
    """The section about documents: counts, reasons, examples."""
    title = "Corpus"
    if facts.curation is None:
        return section(title, missing("No documents yet:", "llm-keras curate"))
    sources = facts.curation["sources"]
    reasons: Counter[str] = Counter()
    for counts in sources.values():
        reasons.update({name: count for name, count in counts["dropped"].items() if count})
    dead = sum(counts["dead"] for counts in sources.values())
    kept = sum(counts["kept"] for counts in sources.values())
    return section(
        title,
        _splits(facts.curation, facts.run.corpus.validation_subsets),
        _bar(kept, reasons, dead),
        _reasons(kept, reasons, dead),
        tag("h3", "By source"),
        _sources(sources),
        tag("h3", "Kept, for example"),
        *_kept_examples(facts.folder.documents),
        *_dropped_examples(facts.folder.rejected),
        tag("p", "More, by rule and source: ", tag("code", "corpus/report.html"), class_="note"),
    )


def _splits(curation: Facts, held_out: Sequence[str]) -> Html:
    said = [
        f"{number(counts['documents'])} documents ({size(counts['bytes'])}) for"
        f" {SPLIT_NAMES.get(name, name)}"
        for name, counts in curation["splits"].items()
    ]
    why = "Which one a document belongs to follows from its id."
    if held_out:
        why = f"Held out whole: {', '.join(held_out)}."
    return tag("p", ", ".join(said), f". {why}")


def _bar(kept: int, reasons: Mapping[str, int], dead: int) -> Html:
    """All documents that came in, as one bar."""
    parts = [("kept", "kept", kept)]
    parts += [(name, _shade(i), count) for i, (name, count) in enumerate(_ranked(reasons))]
    parts += [("unreadable", "dead", dead)]
    return tag(
        "div",
        *(
            tag("i", class_=f"swatch {shade}", style=f"flex-grow: {count}", title=name)
            for name, shade, count in parts
            if count
        ),
        class_="bar",
        role="img",
        aria_label="Shares of kept, dropped and unreadable documents; the table says the figures",
    )


def _reasons(kept: int, reasons: Mapping[str, int], dead: int) -> Html:
    whole = kept + sum(reasons.values()) + dead

    def row(shade: str, name: str, count: int) -> Sequence[str]:
        share = f"{count / whole:.1%}" if whole else "–"
        swatch = tag("i", class_=f"swatch {shade}") if shade else ""
        return join([swatch, name]), number(count), share

    rows = [row("", "in", whole), row("kept", "kept", kept)]
    rows += [
        row(_shade(i), f"dropped: {name.replace('_', ' ')}", count)
        for i, (name, count) in enumerate(_ranked(reasons))
    ]
    rows.append(row("dead", "unreadable (dead letters)", dead))
    return table(["documents", "count", "share"], rows)


def _ranked(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def _shade(rank: int) -> str:
    return f"dropped-{min(rank, SHADES - 1)}"


def _sources(sources: Mapping[str, Facts]) -> Html:
    largest_first = sorted(sources.items(), key=lambda item: -int(item[1]["in"]))
    return long_table(
        ["source", "in", "kept", "dropped", "unreadable", "bytes in", "bytes kept"],
        [
            (
                name,
                number(counts["in"]),
                number(counts["kept"]),
                number(sum(counts["dropped"].values())),
                number(counts["dead"]),
                size(counts["bytes_in"]),
                size(counts["bytes_kept"]),
            )
            for name, counts in largest_first
        ],
        "sources",
    )


def _kept_examples(folder: Path) -> list[Html]:
    """Documents of as many sources as there are."""
    by_source: dict[str, Facts] = {}
    others: list[Facts] = []
    for document in documents(folder, EXAMPLES_SEEN):
        if by_source.setdefault(document["source"], document) is not document:
            others.append(document)
    chosen = [*by_source.values(), *others][:KEPT_EXAMPLES]
    return [figure(document, EXCERPT_CHARACTERS) for document in chosen]


def _dropped_examples(folder: Path) -> list[Html]:
    """One document for each reason, with what the rule measured."""
    by_reason: dict[str, Facts] = {}
    for document in documents(folder, EXAMPLES_SEEN):
        by_reason.setdefault(document["reason"], document)
    if not by_reason:
        return []
    return [
        tag("h3", "Dropped, for example"),
        *(
            figure(document, EXCERPT_CHARACTERS)
            for document in list(by_reason.values())[:DROPPED_EXAMPLES]
        ),
    ]


def tokenizer(facts: RunFacts) -> Html:
    """The section about the vocabulary: bytes a token, and a sentence cut into pieces."""
    path = facts.folder.tokenizer_model
    about = read_json(facts.folder.tokenizer_about)
    if about is None or not path.exists():
        return section("Tokenizer", missing("No tokenizer yet:", "llm-keras tokenizer"))
    settings = about["settings"]
    said = (
        f"SentencePiece {settings['kind']}, {number(settings['vocabulary_size'])} pieces;"
        f" {number(about['bytes_per_token'])} bytes a token"
    )
    parts = [tag("p", said, f" on {size(about['sample']['bytes'])} of training text.")]
    if facts.manifest:
        tokens = sum(split["tokens"] for split in facts.manifest["splits"].values())
        rows = sum(split["rows"] for split in facts.manifest["splits"].values())
        length = facts.manifest["sequence_length"]
        parts.append(
            tag("p", f"{number(tokens)} tokens in {number(rows)} rows of {number(length)}.")
        )
    for document in documents(facts.folder.documents, 1):
        if not document.get("private"):
            parts.append(_pieces(path, document["text"]))
    return section("Tokenizer", *parts)


def _pieces(model: Path, text: str) -> Html:
    """The beginning of a text with every other token shaded."""
    from llm_keras.tokenizers import SentencePieceTokenizer

    tokenizer = SentencePieceTokenizer(model)
    ids = tokenizer.encode(text[:EXCERPT_CHARACTERS])
    pieces = [(tokenizer.decode([i]), tokenizer.piece(i)) for i in ids]
    shown = [piece if decoded == "\ufffd" else decoded for decoded, piece in pieces]
    return tag(
        "figure",
        tag("figcaption", "The first tokens, every other one shaded; <0x..> is one byte"),
        tag("blockquote", *(tag("span", piece) for piece in shown), class_="pieces"),
    )
