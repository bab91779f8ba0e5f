"""Sources and output in a file system that is not this machine's, through Beam's own registry."""

import json
import shutil
from pathlib import Path

import pytest

from llm_keras.errors import UserError
from pipelines import files, storage
from pipelines.curate import Curation, curate

from apache_beam.io.filesystem import (  # isort: skip - after our own quiet import of Beam
    BeamIOError,
    CompressionTypes,
    FileMetadata,
    FileSystem,
    MatchResult,
)

SCHEME = "drawer"


class Drawer(FileSystem):
    """`drawer://...`: objects that lie in a folder; whole or absent, as in a bucket."""

    root = Path()

    @classmethod
    def scheme(cls):
        return SCHEME

    def _at(self, path):
        return self.root / path.removeprefix(f"{SCHEME}://")

    def join(self, basepath, *paths):
        return "/".join((basepath, *paths))

    def split(self, path):
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path):
        """Buckets have no folders."""

    def has_dirs(self):
        return False

    def _list(self, dir_or_prefix):
        start = dir_or_prefix.removeprefix(f"{SCHEME}://")
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and name.startswith(start):
                status = path.stat()
                yield FileMetadata(f"{SCHEME}://{name}", status.st_size, status.st_mtime)

    def create(self, path, mime_type=None, compression_type=CompressionTypes.AUTO):
        self._at(path).parent.mkdir(parents=True, exist_ok=True)
        return self._at(path).open("wb")

    def open(self, path, mime_type=None, compression_type=CompressionTypes.AUTO):
        try:
            return self._at(path).open("rb")
        except FileNotFoundError as error:
            raise BeamIOError(str(error)) from None

    def copy(self, source_file_names, destination_file_names):
        raise NotImplementedError

    def rename(self, source_file_names, destination_file_names):
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            self._at(target).parent.mkdir(parents=True, exist_ok=True)
            self._at(source).replace(self._at(target))

    def exists(self, path):
        return self._at(path).is_file()

    def size(self, path):
        return self._at(path).stat().st_size

    def last_updated(self, path):
        return self._at(path).stat().st_mtime

    def checksum(self, path):
        raise NotImplementedError

    def metadata(self, path):
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths):
        for path in paths:
            self._at(path).unlink(missing_ok=True)

    def match(self, patterns, limits=None):
        return [MatchResult(pattern, self._matching(pattern)) for pattern in patterns]

    def _matching(self, pattern):
        import re

        expression = re.compile(self.translate_pattern(pattern))
        prefix = pattern.partition("*")[0]
        return [each for each in self._list(prefix) if expression.fullmatch(each.path)]


@pytest.fixture
def drawer(tmp_path, monkeypatch):
    monkeypatch.setattr(Drawer, "root", tmp_path / "drawer")
    (tmp_path / "drawer").mkdir()
    return tmp_path / "drawer"


@pytest.fixture
def stored(drawer, letters):
    """The letters, in the drawer, and files that are none."""
    shutil.copytree(letters, drawer / "in" / "letters")
    (drawer / "in" / "letters" / "picture.jpg").write_bytes(b"")
    (drawer / "in" / "letters" / ".hidden.txt").write_text("hidden")
    return f"{SCHEME}://in/letters"


def test_a_folder_elsewhere_gives_the_same_documents(
    stored, letters, make_run, folder, rows, tmp_path
):
    from llm_keras.run_folder import RunFolder

    curate(make_run(stored), folder)
    here = RunFolder(tmp_path / "here")
    curate(make_run(letters), here)
    assert rows(folder.documents) == rows(here.documents)
    assert len(rows(here.documents)) == 24


def test_a_pattern_and_one_file(stored, make_run):
    (source,) = make_run(f"{stored}/1*.txt").corpus.sources
    assert len(files.find(source).files) == 11
    (source,) = make_run(f"{stored}/1.txt").corpus.sources
    assert [file.locator for file in files.find(source).files] == ["1.txt"]
    (source,) = make_run(stored).corpus.sources
    assert files.find(source).ignored == 2


def test_the_corpus_too_may_lie_elsewhere(stored, drawer, make_run, folder, hashes, rows):
    """Every byte of it, and nothing of the work remains."""
    run = make_run(stored, deduplicate={"near": {}, "lines": True})
    curate(run, folder)
    Curation(run, f"{SCHEME}://out/corpus").whole()
    found = {
        path.relative_to(drawer / "out/corpus").as_posix(): path.read_bytes()
        for path in (drawer / "out").rglob("*")
        if path.is_file()
    }
    assert set(found) == set(hashes(folder))
    assert {name: (folder.corpus / name).read_bytes() for name in found} == found
    assert len(json.loads(found["curation.json"])["files"]) == 16


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{SCHEME}://in/nowhere", "expected files of kind text .* found 0 of other kinds"),
        ("nosuch://in/letters", "cannot list nosuch://in/letters: .*; correct the path, or"),
    ],
)
def test_what_is_not_there_is_one_line(stored, make_run, folder, path, message):
    with pytest.raises(UserError, match=message) as caught:
        curate(make_run(path), folder)
    assert "\n" not in str(caught.value)


def test_a_write_that_fails_leaves_nothing(tmp_path):
    path = str(tmp_path / "file")
    storage.write(path, b"before")
    with pytest.raises(TypeError):
        storage.write(path, "a text, where bytes are expected")
    assert Path(path).read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
