"""Which files a source stands for, and what is said when there are none."""

import errno
import os

import pytest

from llm_keras import config
from llm_keras.errors import UserError
from pipelines import files


def listed(path, kind="text", **settings):
    return files.find(config.Source(name="s", kind=kind, path=str(path), **settings))


def locators(listing):
    return [file.locator for file in listing.files]


@pytest.fixture
def tree(tmp_path):
    """A folder with all sorts of files below it."""
    for name in ("b.txt", "a/c.TXT", "a/deep/er/d.md", "e.jsonl", "f.json.gz", "g.jpg", ".h.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "i.txt").write_text("x")
    return tmp_path


def test_a_folder_is_searched_for_the_kinds_files_and_the_others_are_counted(tree):
    text, jsonl = listed(tree), listed(tree, kind="jsonl")
    assert locators(text) == ["a/c.TXT", "a/deep/er/d.md", "b.txt"]
    assert text.ignored == 3
    assert locators(jsonl) == ["e.jsonl", "f.json.gz"]
    assert jsonl.ignored == 4


def test_a_file_named_outright_is_taken_whatever_its_name(tree):
    assert locators(listed(tree / "g.jpg")) == ["g.jpg"]


def test_a_glob_takes_what_it_matches_and_searches_folders(tree):
    assert locators(listed(tree / "*.jpg")) == ["g.jpg"]
    assert locators(listed(tree / "[ab]*")) == ["a/c.TXT", "a/deep/er/d.md", "b.txt"]
    assert locators(listed(tree / "**" / "*.md")) == ["a/deep/er/d.md"]


def test_a_name_with_glob_characters_is_itself_if_it_exists(tree):
    (tree / "odd[1]").mkdir()
    (tree / "odd[1]" / "j.txt").write_text("x")
    assert locators(listed(tree / "odd[1]")) == ["j.txt"]


def test_locators_do_not_depend_on_where_the_root_is(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert locators(listed("a")) == locators(listed(tree / "a")) == ["c.TXT", "deep/er/d.md"]
    assert locators(listed("*/*.TXT")) == ["a/c.TXT"]


def test_a_file_name_that_is_not_utf8_gets_a_readable_locator(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    (file,) = listed(tmp_path).files
    assert file.locator == r"caf\xe9.txt"
    assert file.path.endswith(b"caf\xe9.txt")


def test_pipes_and_sockets_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "a.txt").write_text("x")
    assert locators(listed(tmp_path)) == ["a.txt"]


def test_links_in_circles_end(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nowhere")
    assert locators(listed(tmp_path)) == ["a.txt"]


def test_a_missing_folder_is_named_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="corpus source s: no such file or folder") as error:
        listed("data/missing")
    assert str(tmp_path / "data" / "missing") in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(
        UserError, match=r"expected files of kind text \(\.txt, .*found none"
    ) as error:
        listed(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_folder_of_another_kind_says_so(tmp_path):
    (tmp_path / "a.pdf").write_text("x")
    with pytest.raises(UserError, match="found only 1 of other kinds; add some"):
        listed(tmp_path)


def test_a_glob_without_a_match_says_so(tmp_path):
    with pytest.raises(UserError, match=r"nothing matches .*/\*\.txt; correct"):
        listed(tmp_path / "*.txt")


@pytest.mark.parametrize("encoding", ["utf-99", "rot13", "hex"])
def test_an_unknown_encoding_is_refused(tree, encoding):
    with pytest.raises(UserError, match=f"unknown encoding '{encoding}'"):
        listed(tree, encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32-le"])
def test_json_lines_need_an_encoding_that_has_lines(tree, encoding):
    with pytest.raises(UserError, match=f"JSON lines in {encoding} cannot be cut into lines"):
        listed(tree, kind="jsonl", encoding=encoding)
    assert listed(tree, kind="jsonl", encoding="utf-8-sig").files


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    """Said by the operating system's own function: a test run as root may read everything."""
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot list .*locked: Permission denied"):
        listed(tmp_path)


def test_inputs_change_with_size_time_and_name(tree, make_run):
    run = make_run(tree)
    before = files.inputs(run)
    assert before == sorted(before)
    assert [name for name, _, _ in before] == ["s/a/c.TXT", "s/a/deep/er/d.md", "s/b.txt"]
    (tree / "b.txt").write_text("longer")
    os.utime(tree / "a" / "c.TXT", ns=(1, 2))
    after = {name: rest for name, *rest in files.inputs(run)}
    assert after["s/b.txt"][0] == 6
    assert after["s/a/c.TXT"][1] == 2
