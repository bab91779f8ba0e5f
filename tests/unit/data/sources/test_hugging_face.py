"""Folders of the Hub: cards, configurations, splits and licences."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_keras import config
from pipelines.sources import KINDS, Passed, Text, Unreadable

CARD = """---
license: {licence}
language:
- en
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path:
    - data/test-*
---

# A data set

---
license: not this one
---
"""


@pytest.fixture
def data_set(tmp_path):
    """Writes a data set; returns what is read of a file of it."""

    def make(files, card=None):
        for name, texts in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".parquet"):
                pq.write_table(pa.table({"text": texts}), path)
            elif name.endswith(".arrow"):
                table = pa.table({"text": texts})
                with path.open("wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
                    writer.write_table(table)
            else:
                lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
                path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
        if card is not None:
            (tmp_path / "README.md").write_text(card, encoding="utf-8")
        return tmp_path

    return make


def read(root, name, path=None, **settings):
    source = config.Source(name="s", kind="hugging_face", path=str(path or root), **settings)
    return list(KINDS["hugging_face"].read(root / name, source))


FILES = {
    "data/train-00000-of-00002.parquet": ["one"],
    "data/train-00001-of-00002.arrow": ["two"],
    "data/train-extra.jsonl.gz": ["three"],
    "data/test-00000-of-00001.parquet": ["held out"],
    "data/more.jsonl": ["not named"],
}


class TestCards:
    def test_files_are_read_as_the_card_says(self, data_set):
        root = data_set(FILES, CARD.format(licence="apache-2.0"))
        assert [read(root, name) for name in FILES] == [
            [Text("one", licence="Apache-2.0")],
            [Text("two", licence="Apache-2.0")],
            [Text("three", licence="Apache-2.0")],
            [Passed("held_out_split")],
            [Passed("not_in_card")],
        ]

    def test_a_file_named_itself_is_read_whatever_the_card_says(self, data_set):
        root = data_set(FILES, CARD.format(licence="mit"))
        name = "data/test-00000-of-00001.parquet"
        expected = [Text("held out", licence="MIT")]
        assert read(root, name, path=root / name) == expected
        assert read(root, name, path=root / "data/test-*") == expected
        name = "data/more.jsonl"
        assert read(root, name, path=root / name) == [Text("not named", licence="MIT")]

    @pytest.mark.parametrize(
        ("said", "licence"),
        [
            ("license: mit", "MIT"),
            ("license: odc-by", "odc-by"),
            ("license: [mit, cc0-1.0]", "MIT AND CC0-1.0"),
            ("license:\n- apache-2.0", "Apache-2.0"),
            ("license: other\nlicense_name: falcon-llm", "falcon-llm"),
            ("license: other", "other"),
            ("license: unknown", None),
            ("license: 3", None),
            ("license:", None),
            ("pretty_name: x", None),
        ],
    )
    def test_licences(self, data_set, said, licence):
        root = data_set({"a.jsonl": ["x"]}, f"---\n{said}\n---\n")
        assert read(root, "a.jsonl") == [Text("x", licence=licence)]

    def test_the_licence_of_a_row_goes_before_the_cards(self, data_set):
        root = data_set({}, CARD.format(licence="mit"))
        pq.write_table(pa.table({"text": ["a", "b"], "l": ["isc", None]}), root / "train.parquet")
        found = read(root, "train.parquet", path=root / "*.parquet", columns={"licence": "l"})
        assert [each.licence for each in found] == ["ISC", "MIT"]

    @pytest.mark.parametrize(
        "card",
        [
            None,
            "",
            "# No front matter",
            "---\nlicense: mit\n",
            "---\n- a list\n---\n",
            "---\n{unclosed\n---\n",
            "---\na: !!python/object/apply:os.system [echo]\n---\n",
            "---\n" + "[" * 500_000 + "\n---\n",
            "---\n" + "- " * 200_000 + "\n---\n",
            "---\nconfigs: 3\n---\n",
            "---\nconfigs: [3, {data_files: 4}, {data_files: {train: {x: y}}}]\n---\n",
            "---\nconfigs: [{data_files: 'https://x/y.parquet'}]\n---\n",
            "---\nconfigs: [{data_files: '" + "*a" * 9 + "'}]\n---\n",
        ],
    )  # fmt: skip
    def test_a_card_that_says_nothing_loses_nothing(self, data_set, card):
        root = data_set({"train.jsonl": ["x"]}, card)
        assert read(root, "train.jsonl") == [Text("x")]

    def test_nothing_above_the_folder_of_the_source_counts(self, data_set):
        root = data_set({"inner/train.jsonl": ["x"]}, "---\nlicense: mit\n---\n")
        assert read(root / "inner", "train.jsonl") == [Text("x")]
        assert read(root, "inner/train.jsonl") == [Text("x", licence="MIT")]


class TestConfigurations:
    CARD = """---
license: mit
configs:
- config_name: en
  data_files: "en/**/*.jsonl"
- config_name: fr
  data_files:
    train: ["fr/a?.jsonl", "./fr/b[0-9].jsonl"]
    validation: fr/v.jsonl
- config_name: de
  data_dir: de
---
"""

    def test_each_is_a_subset(self, data_set):
        files = ["en/a.jsonl", "en/x/y/b.jsonl", "fr/a1.jsonl", "fr/b2.jsonl", "de/c.jsonl"]
        root = data_set({name: [name] for name in files}, self.CARD)
        found = [read(root, name) for name in files]
        assert found == [[Text(name, subset=name[:2], licence="MIT")] for name in files]

    @pytest.mark.parametrize("name", ["fr/bx.jsonl", "fr/a12.jsonl", "es/a.jsonl", "a.jsonl"])
    def test_what_none_names_is_passed_over(self, data_set, name):
        root = data_set({name: ["x"]}, self.CARD)
        assert read(root, name) == [Passed("not_in_card")]

    def test_what_is_held_out_is_passed_over(self, data_set):
        root = data_set({"fr/v.jsonl": ["x"]}, self.CARD)
        assert read(root, "fr/v.jsonl") == [Passed("held_out_split")]


class TestSplitsByName:
    @pytest.mark.parametrize(
        ("name", "kept"),
        [
            ("train.jsonl", True),
            ("data/part-0.jsonl", True),
            ("data/train-test-mix.jsonl", True),
            ("contest/latest.jsonl", True),
            ("test.jsonl", False),
            ("data/validation-00000-of-00001.parquet", False),
            ("dev/part.jsonl", False),
            ("x/my_eval.jsonl", False),
            ("VAL/a.jsonl", False),
        ],
    )
    def test_without_a_card_paths_tell(self, data_set, name, kept):
        root = data_set({name: ["x"]})
        assert read(root, name) == ([Text("x")] if kept else [Passed("held_out_split")])


class TestFaults:
    def test_a_pointer_in_the_place_of_a_file_is_told(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n"
        )
        (found,) = read(tmp_path, "a.parquet")
        assert found == Unreadable("a Git LFS pointer; fetch the file itself with: git lfs pull")
