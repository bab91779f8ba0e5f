"""A corpus made by hand: the files that a curation leaves, of as many sources as one likes."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from llm_keras import config
from llm_keras.data.document import write_json_lines
from llm_keras.run_folder import RunFolder

EVIL = """<script>alert("x")</script><img src=x onerror='alert(1)'> & "quoted" 'text'"""
SPOKEN = "en de fr es it pt nl pl ru uk cs sv da fi ja zh ko"
LANGUAGES = SPOKEN.split()
LICENCES = ["CC-BY-4.0", "CC0-1.0", "MIT", "unknown", "Apache-2.0 OR MIT"]
REASONS = {
    "licence": (0.02, "CC-BY-NC-4.0 is not allowed"),
    "opt_out": (0.004, "example.org is on a list"),
    "too_few_words": (0.15, "12 < 50"),
    "mean_word_length": (0.01, "11.2 > 10"),
    "language": (0.06, "ca not in ['de', 'en']"),
    "language_score": (0.03, "en 0.41 < 0.65"),
    "duplicate_line_characters": (0.02, "0.31 > 0.2"),
    "top_2_gram_characters": (0.008, "0.24 > 0.2"),
    "duplicate_5_gram_characters": (0.017, "0.19 > 0.15"),
    "bullet_lines": (0.005, "0.95 > 0.9"),
    "few_stop_words": (0.01, "1 < 2"),
    "no_sentence_end": (0.04, "2 < 3 sentences"),
    "repeated_lines": (0.006, "7 < 20 words left"),
    "contaminated": (0.001, "3 shared with quiz.jsonl"),
    "duplicate": (0.08, None),
    "near_duplicate": (0.11, None),
}
NEVER = ["toxic_words", "empty", "blocked_domain", "too_many_words", "duplicate_paragraphs"]
TALK = "the state of a letter and its answer that we have with them to be read again"
WORDS = TALK.split()


def run_of(sources: int, **corpus: Any) -> config.Run:
    """Settings of a run with so many sources."""
    return config.Run.model_validate(
        {
            "purpose": f"Try the page. {EVIL}",
            "corpus": {
                "sources": [
                    {"name": name, "kind": "text", "path": name} for name in names(sources)
                ],
                "language": {"keep": ["en", "de"]},
                "deduplicate": {"near": {}},
                **corpus,
            },
            "tokenizer": {"vocabulary_size": 1024},
            "records": {"sequence_length": 256},
            "model": {
                "num_layers": 1,
                "hidden_dim": 8,
                "intermediate_dim": 8,
                "num_query_heads": 2,
            },
            "training": {"total_steps": 300, "global_batch_size": 16},
        }
    )


def names(sources: int) -> list[str]:
    """Names as people give them."""
    kinds = ("web", "books", "code", "papers", "letters")
    return [f"{kinds[number % 5]}-{number // 5:02}" for number in range(sources)]


def identity(source: str, number: int) -> str:
    """An id of the right form."""
    return f"{source}:{number:024x}"


def text(seed: int, words: int = 90) -> str:
    """Some words, the same for the same seed."""
    return " ".join(random.Random(seed).choices(WORDS, k=words)) + "."


def document(source: str, number: int, **more: Any) -> dict[str, Any]:
    """A kept document."""
    known = {"subset": None, "language": "en", "licence": "CC0-1.0", "url": None}
    locator = f"{number // 3:03}.txt"
    row = {"id": identity(source, number), "text": text(number), "source": source, **known}
    return {**row, "locator": locator, **more}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """A file of documents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_json_lines(file, rows)


def make(
    root: Path, sources: int, run: config.Run | None = None, *, tokens: bool = False
) -> RunFolder:
    """Writes a corpus of so many sources.

    Args:
        root: Of the run.
        sources: How many.
        run: Written as run.yaml, if given.
        tokens: Whether there are records of it, too.
    """
    from llm_keras import run_file

    folder = RunFolder(root)
    folder.documents.mkdir(parents=True)
    if run is not None:
        folder.run_file.write_text(run_file.dump(run))
    counts = {name: _counts(name, place) for place, name in enumerate(names(sources))}
    kept = [document(name, number) for name in counts for number in range(3)]
    kept[0]["text"] = EVIL
    write_lines(folder.documents / "train-00000-of-00001.jsonl.gz", kept[:-1])
    write_lines(folder.documents / "validation-00000-of-00001.jsonl.gz", kept[-1:])
    write_lines(folder.rejected / "rejected-00000-of-00001.jsonl.gz", _rejected(list(counts)))
    write_lines(folder.dead_letters / "dead_letters-00000-of-00001.jsonl.gz", _dead(counts))
    folder.curation.write_text(json.dumps(_curation(counts)))
    if tokens:
        folder.manifest.write_text(json.dumps(_manifest(counts)))
    return folder


def _counts(name: str, place: int) -> dict[str, Any]:
    rng = random.Random(place)
    seen = int(3_000_000 / (place + 2) ** 1.1)
    lean = {reason: rng.choice((0.0, 0.3, 1.0, 1.0, 2.2)) for reason in REASONS}
    dropped = {reason: int(seen * share * lean[reason]) for reason, (share, _) in REASONS.items()}
    dropped |= dict.fromkeys(NEVER, 0)
    dead = int(seen * 0.02) if place == 7 else int(seen * 0.0005)
    kept = seen - dead - sum(dropped.values())
    bytes_kept = kept * rng.randint(900, 9000)
    redacted = {"email": kept // 40, "phone": kept // 200, "ip": kept // 900, "key": kept // 20_000}
    return {
        "in": seen,
        "kept": kept,
        "dead": dead,
        "bytes_in": int(bytes_kept * 1.7),
        "bytes_kept": bytes_kept,
        "bytes_kept_for_training": int(bytes_kept * 0.95),
        "dropped": dropped,
        "redacted": redacted if place % 3 else {},
        "first_dead": {},
        "ignored_files": 4 if place == 2 else 0,
    }


def _rejected(sources: list[str]) -> list[dict[str, Any]]:
    """Documents for each reason, and clusters of copies of 20, 5 and 1."""
    rows = []
    for place, (reason, (_, detail)) in enumerate(REASONS.items()):
        if detail is not None:
            for number in range(3):
                source = sources[(place + number) % len(sources)]
                row = document(source, 1000 + 10 * place + number, reason=reason, detail=detail)
                rows.append(row)
    for cluster, size in enumerate((20, 5, 1)):
        stays = identity(sources[0], cluster)
        for copy in range(size):
            source = sources[copy % len(sources)]
            near = copy % 2
            detail = f"of {stays}, similarity 0.{90 - copy}" if near else f"of {stays}"
            reason = "near_duplicate" if near else "duplicate"
            number = 5000 + 100 * cluster + copy
            rows.append(document(source, number, text=text(cluster), reason=reason, detail=detail))
    rows.append({"id": None, "source": sources[0], "locator": "a.xml#Talk", "reason": "redirect"})
    rows[-1]["detail"] = "not read as a text"
    rows[0] |= {"private": True, "text": "secret of the house"}
    rows[1] |= {"text": f"A dropped text. {EVIL}", "detail": EVIL}
    return rows


def _dead(counts: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name in counts:
        for number in range(2):
            error = f"not utf-8 at byte {number * 31 + 7}"
            rows.append(
                {"source": name, "locator": "a.txt", "line": number, "offset": None, "error": error}
            )
    return [*rows, {**rows[0], "error": f"empty member {EVIL}"}]


def _curation(counts: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(counts))
    counts[first]["dropped"]["redirect"] = 1
    counts[first]["kept"] -= 1
    documents = sum(each["kept"] for each in counts.values())
    size = sum(each["bytes_kept"] for each in counts.values())
    return {
        "format": 2,
        "sources": counts,
        "licences": _divided(LICENCES, documents, size),
        "languages": _divided(LANGUAGES, documents, size),
        "histograms": _histograms(documents),
        "splits": {
            "train": {"documents": documents - documents // 20, "bytes": size - size // 20},
            "validation": {"documents": documents // 20, "bytes": size // 20},
        },
        "steps": _steps(counts),
        "mixture": _mixture(counts),
        "files": {
            "documents/train-00000-of-00001.jsonl.gz": {
                "bytes": 999,
                "documents": 5,
                "sha256": "ab" * 32,
            }
        },
        "settings_hash": "ef" * 32,
    }


def _divided(among: list[str], documents: int, size: int) -> dict[str, Any]:
    whole = 2 ** len(among) - 1
    return {
        name: {"documents": documents * part // whole, "bytes": size * part // whole}
        for name, part in zip(among, (2**n for n in reversed(range(len(among)))), strict=True)
    }


def _histograms(documents: int) -> dict[str, Any]:
    from llm_keras.data.histograms import BORDERS, bin_label

    rng = random.Random(0)
    found = {}
    for place, (name, borders) in enumerate(BORDERS.items()):
        middle = len(borders) * (0.4 if place % 2 else 0.6)
        drawn = (min(max(int(rng.gauss(middle, 2.2)), 0), len(borders) - 1) for _ in range(2000))
        counts = Counter(bin_label(borders, borders[number]) for number in drawn)
        found[name] = {label: count * documents // 2000 for label, count in counts.items()}
    return found


def _steps(counts: dict[str, Any]) -> list[dict[str, Any]]:
    dropped: Counter[str] = Counter()
    for each in counts.values():
        dropped.update(each["dropped"])
    later = {"urls": 0, "duplicates": dropped["duplicate"], "near": dropped["near_duplicate"]}
    later["finish"] = dropped["contaminated"]
    seen = sum(each["in"] for each in counts.values())
    dead = sum(each["dead"] for each in counts.values())
    first = dropped.total() - sum(later.values())
    steps = [{"step": "read", "in": seen, "dropped": first, "dead": dead}]
    for name, number in later.items():
        left = steps[-1]["in"] - steps[-1]["dropped"] - steps[-1]["dead"]
        steps.append({"step": name, "in": left, "dropped": number, "dead": 0})
    for step in steps:
        step["out"] = step["in"] - step["dropped"] - step["dead"]
        idle = step["step"] == "urls"
        step["alarm"] = "dropped nothing at all: is that so?" if idle else None
    return steps


def _mixture(counts: dict[str, Any]) -> dict[str, Any]:
    """All asked for as much as there is, but two."""
    whole = sum(each["bytes_kept_for_training"] for each in counts.values())
    found = {
        name: {
            "epochs": 1.0,
            "asked": round(each["bytes_kept_for_training"] / whole, 6),
            "share": round(each["bytes_kept_for_training"] / whole, 6),
        }
        for name, each in counts.items()
    }
    for name in list(found)[3:5]:
        found[name] |= {"epochs": 4.0, "asked": round(found[name]["asked"] * 8, 6)}
    return found


def _manifest(counts: dict[str, Any]) -> dict[str, Any]:
    rows = {"rows": 10, "tokens": 2_500_000, "targets": 2_400, "documents": 5, "bytes": 7_400}
    return {
        "format": 1,
        "splits": {"train": rows, "validation": rows},
        "tokenizer_sha256": "cd" * 32,
        "curation_hash": "ef" * 32,
        "sources": {
            name: {
                "documents": each["kept"],
                "tokens": each["bytes_kept"] // 4,
                "train_tokens": each["bytes_kept_for_training"] // 4,
            }
            for name, each in counts.items()
        },
    }
