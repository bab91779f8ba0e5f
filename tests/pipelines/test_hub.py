"""Sources of the Hugging Face Hub, by its own library from a server that speaks its API."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from pipelines import hub
from pipelines.curate import curate, update
from tests import hub_server

FIRST, SECOND = "1" * 40, "2" * 40
ADDRESS = f"hf://datasets/{hub_server.NAME}"
CARD = b"""---
license: cc-by-4.0
---
# Letters
"""


def lines(texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def table(texts):
    file = io.BytesIO()
    pq.write_table(pa.table({"text": list(texts)}), file)
    return file.getvalue()


@pytest.fixture
def files(prose):
    return {
        "README.md": CARD,
        "en/train-0.parquet": table(map(prose, range(12))),
        "en/train-1.jsonl": lines(map(prose, range(12, 24))),
        "en/test.jsonl": lines(map(prose, range(24, 27))),
        "fr/train.jsonl": lines(map(prose, range(27, 30))),
        "picture.png": b"no text",
    }


@pytest.fixture
def the_hub(files, monkeypatch, tmp_path):
    """A served data set of two commits; the second lacks a file."""
    left = {path: content for path, content in files.items() if path != "en/train-1.jsonl"}
    made = hub_server.Hub({FIRST: files, SECOND: left}, {"main": FIRST, "refs/pr/1": SECOND})
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub_server.served(made) as address:
        made.address = address
        elsewhere(monkeypatch, address)
        yield made


def elsewhere(monkeypatch, address):
    """Lets the Hub's library ask at an address, and not wait before it asks again."""
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


@pytest.fixture
def settings(make_run):
    def make(path=ADDRESS, *, allow_network=True, **corpus):
        source = {"allow_network": allow_network}
        return make_run(path, kind="hugging_face", source=source, **corpus)

    return make


def copy(run, folder):
    """What a run's only source reads, and the names of the files in its copy."""
    (source,) = hub.with_copies(run, str(folder)).corpus.sources
    (root,) = (folder / hub.FOLDER).iterdir()
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != hub.RECORD
    }
    return Path(source.path).relative_to(root).as_posix(), found


def refused(run, folder):
    with pytest.raises(UserError) as caught:
        hub.with_copies(run, str(folder))
    message = str(caught.value)
    assert message.startswith("corpus source s: ")
    assert "\n" not in message
    return message


class TestCuration:
    def test_gives_what_a_folder_with_the_same_files_gives(
        self, settings, make_run, the_hub, files, tmp_path
    ):
        beside = tmp_path / "beside"
        for path, content in files.items():
            (beside / path).parent.mkdir(parents=True, exist_ok=True)
            (beside / path).write_bytes(content)
        corpora = []
        for name, run in ("hub", settings()), ("folder", make_run(beside, kind="hugging_face")):
            folder = RunFolder(tmp_path / name)
            curate(run, folder)
            corpora.append(folder.corpus)
        names = [sorted(p.name for p in (corpus / "documents").iterdir()) for corpus in corpora]
        assert names[0] == names[1] != []
        for name in names[0]:
            first, second = ((corpus / "documents" / name).read_bytes() for corpus in corpora)
            assert first == second
        first, second = (json.loads((corpus / "curation.json").read_text()) for corpus in corpora)
        assert first["sources"]["s"]["in"] == 28
        assert first["sources"]["s"]["dropped"]["held_out_split"] == 1
        assert first["licences"] == second["licences"]
        assert "CC-BY-4.0" in first["licences"]
        sizes = {path: len(content) for path, content in files.items() if path != "picture.png"}
        assert first["downloads"] == {
            "s": {"path": ADDRESS, "commit": FIRST, "files": 5, "bytes": sum(sizes.values())}
        }
        assert "downloads" not in second

    def test_downloads_once(self, settings, the_hub, tmp_path):
        folder = RunFolder(tmp_path / "run")
        curate(settings(), folder)
        asked = len(the_hub.asked)
        assert asked > 0
        the_hub.revisions["main"] = SECOND
        curate(settings(), folder)
        assert update(settings(), folder) == 0
        assert len(the_hub.asked) == asked

    def test_by_the_command_line_without_a_text_or_token_in_what_it_prints(
        self, settings, the_hub, tmp_path, prose
    ):
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(settings().model_dump(mode="json")))
        command = [sys.executable, "-m", "pipelines.curate", "--run", path, "--output", "run"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ
            | {"HF_ENDPOINT": the_hub.address, "HF_TOKEN": "hf_hidden"}
            | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        assert f"downloads 5 files of source s, 0.0 MB, at commit {FIRST}" in said
        assert "hf_hidden" not in said
        wanted = (f"/api/datasets/{hub_server.NAME}", f"/datasets/{hub_server.NAME}/resolve/")
        assert [path for _, path in the_hub.asked if not path.startswith(wanted)] == []
        assert the_hub.tokens == {"Bearer hf_hidden"}
        assert prose(0)[:12] not in said


class TestCopy:
    def test_of_a_folder_holds_its_files_and_the_card(self, settings, the_hub, files, tmp_path):
        path, found = copy(settings(f"{ADDRESS}/en"), tmp_path)
        assert path == "."
        chosen = ("README.md", "en/test.jsonl", "en/train-0.parquet", "en/train-1.jsonl")
        assert found == {name: files[name] for name in chosen}

    @pytest.mark.parametrize("below", ["en/train-1.jsonl", "en/*-1.*", "**/*-1.*"])
    def test_of_a_file_or_a_glob_is_read_whatever_its_split(
        self, below, settings, the_hub, tmp_path
    ):
        path, found = copy(settings(f"{ADDRESS}/{below}"), tmp_path)
        assert path == below
        assert sorted(found) == ["README.md", "en/train-1.jsonl"]

    @pytest.mark.parametrize("revision", [SECOND, "refs/pr/1"])
    def test_of_a_revision(self, revision, settings, the_hub, tmp_path):
        _, found = copy(settings(f"{ADDRESS}@{revision}"), tmp_path)
        assert "en/train-0.parquet" in found
        assert "en/train-1.jsonl" not in found

    def test_goes_on_after_a_lost_connection(self, settings, the_hub, tmp_path, monkeypatch):
        monkeypatch.setattr(hub, "_AT_ONCE", 1)
        the_hub.lost = {"en/train-1.jsonl"}
        message = refused(settings(), tmp_path)
        assert "the Hub cannot be reached" in message
        assert "en/train-1.jsonl" in the_hub.downloads()
        first = the_hub.downloads().count("en/train-0.parquet")
        assert first == 1
        the_hub.lost.clear()
        _, found = copy(settings(), tmp_path)
        assert "en/train-1.jsonl" in found
        assert the_hub.downloads().count("en/train-0.parquet") == first

    def test_of_an_earlier_attempt_keeps_no_file_that_is_gone(
        self, settings, the_hub, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(hub, "_AT_ONCE", 1)
        the_hub.lost = {"fr/train.jsonl"}
        refused(settings(), tmp_path)
        (unfinished,) = (tmp_path / hub.FOLDER).iterdir()
        assert (unfinished / "en" / "train-1.jsonl").exists()
        the_hub.lost.clear()
        the_hub.revisions["main"] = SECOND
        _, found = copy(settings(), tmp_path)
        assert "en/train-1.jsonl" not in found

    @pytest.mark.parametrize("path", ["en/train-0.parquet", "en/train-1.jsonl"])
    def test_that_is_damaged_is_refused_and_mended(self, path, settings, the_hub, files, tmp_path):
        the_hub.damaged = {path}
        assert f"{path} did not come as the Hub states" in refused(settings(), tmp_path)
        the_hub.damaged.clear()
        _, found = copy(settings(), tmp_path)
        assert found[path] == files[path]


class TestRefused:
    def test_unless_the_run_file_allows_it(self, settings, the_hub, tmp_path):
        message = refused(settings(allow_network=False), tmp_path)
        assert "add allow_network: true" in message
        assert f"hf download {hub_server.NAME} --repo-type dataset" in message
        assert the_hub.asked == []

    @pytest.mark.parametrize("path", ["hf://house/letters", "hf://datasets/letters", "hf://"])
    def test_names_no_data_set(self, path, settings, the_hub, tmp_path):
        assert "expected hf://datasets/OWNER/NAME" in refused(settings(path), tmp_path)
        assert the_hub.asked == []

    def test_names_none_that_there_is(self, settings, the_hub, tmp_path):
        path = "hf://datasets/house/other"
        assert "no such data set, or a private one" in refused(settings(path), tmp_path)
        assert not (tmp_path / hub.FOLDER).exists()

    def test_names_no_revision_that_there_is(self, settings, the_hub, tmp_path):
        assert "no such revision" in refused(settings(f"{ADDRESS}@v9"), tmp_path)

    def test_names_no_file_that_can_be_read(self, settings, the_hub, tmp_path):
        assert "none of the data set's files" in refused(settings(f"{ADDRESS}/de"), tmp_path)

    def test_its_owner_lets_nobody_in(self, settings, the_hub, tmp_path):
        the_hub.gated = True
        assert "hf auth login" in refused(settings(), tmp_path)

    def test_the_hub_is_not_there(self, settings, the_hub, tmp_path, monkeypatch):
        elsewhere(monkeypatch, "http://127.0.0.1:9")
        assert "the Hub cannot be reached" in refused(settings(), tmp_path)

    def test_there_is_no_room(self, settings, the_hub, tmp_path, monkeypatch):
        usage = hub.shutil.disk_usage(tmp_path)._replace(free=10)
        monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: usage)
        assert "0.0 GB free" in refused(settings(), tmp_path)
        assert the_hub.downloads() == []

    def test_the_corpus_is_elsewhere(self, settings, the_hub):
        assert "give a local --output" in refused(settings(), "gs://bucket/run/corpus")

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ({"kind": "text", "path": ADDRESS}, "kind hugging_face reads"),
            ({"kind": "text", "path": "here", "allow_network": True}, "belongs to a path of hf://"),
        ],
    )
    def test_by_the_run_file(self, source, said):
        with pytest.raises(ValueError, match=said):
            config.Source.model_validate({"name": "s"} | source)
