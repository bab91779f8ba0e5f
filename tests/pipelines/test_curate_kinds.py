"""Kinds of files and tables through all of curation: what comes out, and where it came from."""

import gzip
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_keras import config
from llm_keras.run_folder import RunFolder
from pipelines.curate import curate

LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
    " and associated documentation files. This permission notice shall be included in all copies."
)
MARK = "*** {} OF THE PROJECT GUTENBERG EBOOK LETTERS ***"


@pytest.fixture(scope="module")
def sources(tmp_path_factory, prose):
    """A source of each kind, each with one document of its own and something that is none."""
    root = tmp_path_factory.mktemp("kinds")
    for name in ("table", "hub", "papers", "books", "films", "tree"):
        (root / name).mkdir()
    pq.write_table(pa.table({"text": [prose(1), None]}), root / "table/a.parquet")
    pq.write_table(pa.table({"text": [prose(2)]}), root / "hub/train-0.parquet")
    pq.write_table(pa.table({"text": [prose(3)]}), root / "hub/test-0.parquet")
    (root / "hub/README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    with tarfile.open(root / "papers/bulk.tar", "w") as bulk:
        for name, content in (("x/1.gz", prose(4)), ("x/2.gz", ""), ("../3.gz", prose(5))):
            paper = f"\\documentclass{{article}}\\begin{{document}}{content}\\end{{document}}"
            info = tarfile.TarInfo(name)
            packed = gzip.compress(paper.encode())
            info.size = len(packed)
            bulk.addfile(info, io.BytesIO(packed))
    (root / "books/a.txt").write_text(
        f"Header\n\n{MARK.format('START')}\n\n{prose(6)}\n\n{MARK.format('END')}\n\nLicence\n"
    )
    (root / "films/a.srt").write_text(f"1\n00:00:01,000 --> 00:00:09,000\n{prose(7)}\n")
    (root / "tree/LICENSE").write_text(LICENCE)
    (root / "tree/a.py").write_text(f'"""{prose(8)}"""\n\nprint(1)\n')
    (root / "tree/b.py").write_text(f"# SPDX-License-Identifier: GPL-3.0-only\n# {prose(9)}\n")
    return root


@pytest.fixture(scope="module")
def curated(sources, make_run, tmp_path_factory):
    folders = {
        **{"table": "parquet", "hub": "hugging_face", "papers": "latex", "books": "gutenberg"},
        **{"films": "captions", "tree": "code"},
    }
    settings = make_run(
        sources, language={"keep": ["en"], "minimum_score": 0.2}, maximum_dead_fraction=0.5
    ).model_dump(mode="json")
    settings["corpus"]["sources"] = [
        {"name": name, "kind": kind, "path": str(sources / name)} for name, kind in folders.items()
    ]
    folder = RunFolder(tmp_path_factory.mktemp("curated") / "run")
    curate(config.Run.model_validate(settings), folder)
    return folder


def test_each_kind_gives_its_document_with_what_its_file_says(curated, rows, prose):
    found = {row["source"]: row for row in rows(curated.documents)}
    texts = {name: row["text"] for name, row in found.items()}
    assert texts == {
        "table": prose(1),
        "hub": prose(2),
        "papers": prose(4),
        "books": prose(6),
        "films": prose(7),
        "tree": f'"""{prose(8)}"""\n\nprint(1)\n',
    }
    assert found["hub"]["licence"] == "CC-BY-4.0"
    assert found["tree"]["licence"] == "MIT"
    assert found["tree"]["subset"] == "Python"
    assert found["tree"]["language"] == "code"
    assert found["papers"]["locator"] == "bulk.tar#x/1.gz"


def test_everything_else_has_a_reason_or_a_dead_letter(curated, rows):
    dead = {letter["locator"]: letter["error"] for letter in rows(curated.dead_letters)}
    assert dead == {
        "a.parquet#row 2": "expected a string under 'text', found NoneType",
        "bulk.tar#../3.gz": "a path that leaves the archive",
    }
    sources = json.loads(curated.curation.read_text())["sources"]
    dropped = {
        name: {reason: count for reason, count in each["dropped"].items() if count}
        for name, each in sources.items()
    }
    assert dropped == {
        **{"table": {}, "books": {}, "films": {}},
        "hub": {"held_out_split": 1},
        "papers": {"no_text": 1},
        "tree": {"licence": 1, "licence_text": 1},
    }
    for each in sources.values():
        assert each["in"] == each["kept"] + each["dead"] + sum(each["dropped"].values())
