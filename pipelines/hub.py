"""Data sets of the Hugging Face Hub: downloaded once, before anything is read.

A path names them as the Hub's own library does, `hf://datasets/OWNER/NAME[@REVISION][/BELOW]`;
`BELOW` is a folder of the data set, a file or a glob. Nothing is downloaded unless the source says
`allow_network: true`. The copy stays beside the corpus and is what is read from then on; which
commit it is of stands beside it. To download anew, remove it. A token is where the Hub's library
looks for one: the variable HF_TOKEN, or what `hf auth login` has left.

References:
    Hub documentation, "HF URIs", and "Download files from the Hub".
"""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_keras import config, console
from llm_keras.errors import UserError
from pipelines import storage
from pipelines.sources import hugging_face

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

#: Of what was fetched, beside the corpus.
FOLDER = "fetched"
#: Says what a copy is of; hidden, and so no reader takes it for a file of the data set.
RECORD = ".downloaded.json"
CARD = "README.md"
_AT_ONCE = 8


def check(source: config.Source) -> None:
    """Refuses a path of the Hub that names no data set, or that may not be downloaded.

    Raises:
        UserError: With what to write instead.
    """
    name, _, _ = _parsed(source)
    if not source.allow_network:
        raise UserError(
            f"corpus source {source.name}: {source.path} is on the network, and curation fetches"
            " nothing unasked; add allow_network: true to the source, or download it with:"
            f" hf download {name} --repo-type dataset --local-dir FOLDER, and give FOLDER as path"
        )


def with_copies(run: config.Run, corpus: str) -> config.Run:
    """A run whose paths of the Hub are replaced by copies of what they name.

    Args:
        run: The settings.
        corpus: The folder of the corpus; copies are made in it that are not there yet.

    Raises:
        UserError: Something cannot be had.
    """
    sources = tuple(
        _copied(source, corpus) if source.is_of_hub else source for source in run.corpus.sources
    )
    return run.model_copy(update={"corpus": run.corpus.model_copy(update={"sources": sources})})


def downloads(run: config.Run, corpus: str) -> dict[str, Any]:
    """Of each source of the Hub: path, commit, files and bytes of its copy."""
    return {
        source.name: json.loads((_folder(source, corpus) / RECORD).read_bytes())
        for source in run.corpus.sources
        if source.is_of_hub
    }


def _folder(source: config.Source, corpus: str) -> Path:
    """Where the copy of a source is."""
    name = f"{source.name}-{hashlib.sha256(source.path.encode()).hexdigest()[:16]}"
    return Path(corpus) / FOLDER / name


def _copied(source: config.Source, corpus: str) -> config.Source:
    """A source that reads the copy of a data set: all of it below the card, or a glob."""
    check(source)
    _, _, below = _parsed(source)
    if storage.is_remote(corpus):
        raise UserError(
            f"corpus source {source.name}: data sets are downloaded onto this machine; give a local"
            " --output, or copy the data set to where the corpus is and name it there"
        )
    folder = _folder(source, corpus)
    if not folder.exists():
        _download(source, folder)
    path = folder / below if _names_files(folder, below) else folder
    return source.model_copy(update={"path": str(path), "allow_network": False})


def _names_files(folder: Path, below: str) -> bool:
    """Whether files are named, by name or glob, and so are read whatever their split."""
    return bool(below) and not (folder / below).is_dir()


def _parsed(source: config.Source) -> tuple[str, str | None, str]:
    """Owner and name of a data set, revision, and what is named below it."""
    from huggingface_hub import parse_hf_uri
    from huggingface_hub.errors import HfUriError

    try:
        found = parse_hf_uri(source.path)
    except HfUriError:
        found = None
    if found is None or found.type != "dataset":
        raise UserError(
            f"corpus source {source.name}: expected hf://datasets/OWNER/NAME, then perhaps"
            f" @REVISION and /FOLDER, got {source.path}; correct the path"
        )
    return found.id, found.revision, found.path_in_repo.rstrip("/")


def _download(source: config.Source, folder: Path) -> None:
    """Copies what a source names of a data set, and its card; the folder is complete or absent."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    constants.HF_HUB_DISABLE_TELEMETRY = True  # nothing is asked that is not needed
    disable_progress_bars()
    logging.set_verbosity_error()
    name, revision, below = _parsed(source)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    with _told(source, unfinished):
        hub = HfApi()
        commit = str(hub.dataset_info(name, revision=revision).sha)
        files = list(_chosen(hub, name, commit, below))
        size = sum(file.size for file in files)
        if not any(file.path != CARD for file in files):
            raise UserError(
                f"corpus source {source.name}: {source.path} names none of the data set's files of"
                f" kind {source.kind}; correct the path"
            )
        unfinished.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(unfinished).free
        if size > free:
            raise UserError(
                f"corpus source {source.name}: {source.path} is {size / 1e9:.1f} GB and"
                f" {unfinished.parent} has {free / 1e9:.1f} GB free; free some, or name fewer files"
            )
        console.say(
            f"curate: downloads {len(files)} files of source {source.name}, {size / 1e6:.1f} MB, at"
            f" commit {commit}"
        )

        def copy(file: RepoFile) -> None:
            hub.hf_hub_download(
                name, file.path, repo_type="dataset", revision=commit, local_dir=unfinished
            )

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(copy, files))
        _verify(hub, source, name, commit, files, unfinished)
    shutil.rmtree(unfinished / ".cache")  # how far the library was
    record = {"path": source.path, "commit": commit, "files": len(files), "bytes": size}
    (unfinished / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    unfinished.rename(folder)


def _chosen(hub: HfApi, name: str, commit: str, below: str) -> Iterator[RepoFile]:
    """The card of a data set, and its files that are named and can be read."""
    from huggingface_hub.hf_api import RepoFile

    pattern = hugging_face.pattern_of(below if glob.has_magic(below) else glob.escape(below))
    for file in hub.list_repo_tree(name, repo_type="dataset", revision=commit, recursive=True):
        if not isinstance(file, RepoFile):
            continue
        named = not below or file.path.startswith(f"{below}/")
        readable = file.path.lower().endswith(hugging_face.SUFFIXES)
        if (named and readable) or pattern.fullmatch(file.path) or file.path == CARD:
            yield file


def _verify(
    hub: HfApi, source: config.Source, name: str, commit: str, files: list[RepoFile], copy: Path
) -> None:
    """Compares the checksums of what has come with those that the Hub states."""
    found = hub.verify_repo_checksums(name, repo_type="dataset", revision=commit, local_dir=copy)
    wrong = {each["path"] for each in found.mismatches}
    wrong |= set(found.missing_paths) & {file.path for file in files}
    # Of an earlier attempt may be left what the data set had before.
    for path in (*wrong, *found.extra_paths):
        (copy / path).unlink(missing_ok=True)
    if wrong:
        raise UserError(
            f"corpus source {source.name}: {min(wrong)} did not come as the Hub states its checksum"
            f" ({len(wrong)} of {len(files)} files); run again to download these anew"
        )


@contextmanager
def _told(source: config.Source, unfinished: Path) -> Iterator[None]:
    """Says in one line why something could not be downloaded."""
    import httpx2
    from huggingface_hub import errors

    def mistake(why: str, what_to_do: str) -> UserError:
        return UserError(f"corpus source {source.name}: {source.path}: {why}; {what_to_do}")

    try:
        yield
    except errors.GatedRepoError:
        raise mistake(
            "its owner lets in only who asks",
            "ask on its page, and set HF_TOKEN or run: hf auth login",
        ) from None
    except errors.RevisionNotFoundError:
        raise mistake("the data set has no such revision", "correct what stands after @") from None
    except errors.RepositoryNotFoundError:
        raise mistake(
            "no such data set, or a private one",
            "correct the path; for a private one set HF_TOKEN or run: hf auth login",
        ) from None
    except (httpx2.HTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise mistake(
            f"the Hub cannot be reached: {said}", f"run again; {unfinished} keeps what has come"
        ) from None
    except OSError as error:
        said = error.strerror or str(error).partition("\n")[0]
        raise mistake(f"{unfinished} cannot be written: {said}", "mend it, and run again") from None
