"""The path of a run as a table: each stage, what it reads, which settings it uses, what it writes.

A finished stage leaves `stages/<name>.json` in the run folder. It is skipped for as long as its
inputs, its settings and its outputs are what that file says. Stages import their packages when
they run, so that this table costs nothing and needs none of the extras.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from llm_keras import console, files, run_file
from llm_keras.config import Run
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder

Fingerprint = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One step of the path.

    Attributes:
        name: As on the command line.
        perform: Does the work; complete or absent, and idempotent.
        settings: The part of the run file that changes what the stage writes.
        inputs: What it reads, as a fingerprint; raises UserError if it cannot be read at all.
        outputs: The files that stand for its result.
    """

    name: str
    perform: Callable[[Run, RunFolder], None]
    settings: Callable[[Run], Fingerprint]
    inputs: Callable[[Run, RunFolder], Fingerprint]
    outputs: Callable[[RunFolder], Sequence[Path]]


def _curate(run: Run, folder: RunFolder) -> None:
    from pipelines.curate import curate

    curate(run, folder)


def _tokenizer(run: Run, folder: RunFolder) -> None:
    if run.tokenizer.kind == "imported":
        from llm_keras import interop, tokenizers

        model = folder.tokenizer_model
        interop.check_vocabulary(run, tokenizers.load(model), str(model))
        console.say(f"tokenizer: {model} was imported, nothing to train")
        return
    from llm_keras.tokenizers import train_tokenizer

    train_tokenizer(run, folder)


def _tokenize(run: Run, folder: RunFolder) -> None:
    from pipelines.tokenize import tokenize

    tokenize(run, folder)


def _train(run: Run, folder: RunFolder, *, strict: bool = False) -> None:
    from llm_keras.training import train

    train(run, folder, strict=strict)


def _evaluate(run: Run, folder: RunFolder) -> None:
    from llm_keras import models
    from llm_keras.evaluation import evaluate
    from llm_keras.training import checkpoints

    network = models.build(run)
    step = checkpoints.load_network(folder, network, use_best=run.training.use_best)
    evaluate(run, folder, network, step)


def _export(run: Run, folder: RunFolder) -> None:
    from llm_keras import models
    from llm_keras.export import export_saved_model
    from llm_keras.training import checkpoints

    network = models.build(run)
    step = checkpoints.load_network(folder, network, use_best=run.training.use_best)
    export_saved_model(
        network,
        folder.tokenizer_model,
        folder.export,
        run.generation,
        metadata={
            "step": step,
            "purpose": run.purpose,
            "corpus_sha256": checkpoints.corpus_of(folder, step),
        },
    )


def import_model(
    source: Path, folder: RunFolder, overrides: Sequence[str], tokenizer: Path | None
) -> Run:
    """Makes a run of a model from elsewhere: complete, or nothing.

    Args:
        source: A Hugging Face folder, a GGUF file or the prefix of a Model Garden checkpoint.
        folder: Where the run is to be; must not hold one.
        overrides: Fields of its run file, as `field=value`.
        tokenizer: A file to take in place of the source's own.

    Raises:
        UserError: There is a run already, or the source is not what it should be.
    """
    from llm_keras import interop
    from llm_keras.tokenizers.loading import file_name
    from llm_keras.training import checkpoints

    if folder.root.exists() and (not folder.root.is_dir() or any(folder.root.iterdir())):
        raise UserError(f"{folder.root}: is there already; give another --output")
    found = interop.open_source(source, tokenizer)
    if found.tokenizer is None:
        raise UserError(f"{source}: has no tokenizer; give its file with --tokenizer")
    run = run_file.parse(run_file.dump(interop.settings_of(found)), "run.yaml", overrides)
    network = interop.load_weights(found, run)
    making = RunFolder(folder.root.with_name(f".importing-{folder.root.name}"))
    shutil.rmtree(making.root, ignore_errors=True)
    try:
        making.tokenizer_model.parent.mkdir(parents=True)
        target = making.tokenizer_model.parent / file_name(found.tokenizer)
        files.write_whole(target, found.tokenizer)
        files.write_whole(making.run_file, run_file.dump(run))
        checkpoints.save_initial(making, network, {"imported_from": source.resolve().name})
        if folder.root.exists():
            folder.root.rmdir()
        making.root.rename(folder.root)
    except BaseException:
        shutil.rmtree(making.root, ignore_errors=True)
        raise
    return run


def export_weights(run: Run, folder: RunFolder, form: str) -> Path:
    """Writes the newest checkpoint for other programs.

    Args:
        run: Its settings.
        folder: Its folder.
        form: `safetensors` or `gguf`.

    Returns:
        What was written.

    Raises:
        UserError: Something is missing, or a setting has no form there.
    """
    from llm_keras import interop, models, tokenizers
    from llm_keras.training import checkpoints

    tokenizer = tokenizers.load(folder.tokenizer_model)
    network = models.build(run)
    checkpoints.load_network(folder, network, use_best=run.training.use_best)
    if form == "gguf":
        name = run.serving.model_name
        return interop.export_gguf(network, tokenizer, folder.export_gguf, name)
    return interop.export_folder(network, tokenizer, folder.export_safetensors, run.generation)


def _sources(run: Run, _folder: RunFolder) -> Fingerprint:
    from pipelines.files import inputs

    if not run.corpus.sources:
        raise UserError(
            "corpus.sources: there are none, so nothing to train on or to judge by; list them in"
            " run.yaml, each with name, kind and path"
        )
    return {"files": [[name, size, changed] for name, size, changed in inputs(run)]}


def _files(*paths: Callable[[RunFolder], Path]) -> Callable[[Run, RunFolder], Fingerprint]:
    """A fingerprint of the content of files that an earlier stage left."""

    def fingerprint(_run: Run, folder: RunFolder) -> Fingerprint:
        return {
            str(path(folder).relative_to(folder.root)): files.sha256(path(folder)) for path in paths
        }

    return fingerprint


def newest_checkpoint(folder: RunFolder) -> Path:
    """The manifest of the newest checkpoint, or the place where one would be."""
    found = sorted(folder.checkpoints.glob("step-*/manifest.json"))
    return found[-1] if found else folder.checkpoints / "manifest.json"


def _used_checkpoint(run: Run, folder: RunFolder) -> Fingerprint:
    """The fingerprint of the one that is judged and exported."""
    if run.training.use_best:
        from llm_keras.training import checkpoints

        manifest = checkpoints.best(folder.checkpoints).path / "manifest.json"
        return _files(lambda _: manifest)(run, folder)
    return _files(newest_checkpoint)(run, folder)


def _newest_export(folder: RunFolder) -> Path:
    versions = [path for path in folder.export.glob("*") if path.name.isdigit()]
    newest = max(versions, key=lambda path: int(path.name), default=folder.export / "1")
    return newest / "saved_model.pb"


STAGES: tuple[Stage, ...] = (
    Stage(
        "curate",
        _curate,
        settings=lambda run: {
            "seed": run.seed,
            "corpus": run.corpus.model_dump(mode="json", exclude={"workers"}),
        },
        inputs=_sources,
        outputs=lambda folder: [folder.curation],
    ),
    Stage(
        "tokenizer",
        _tokenizer,
        settings=lambda run: {"tokenizer": run.tokenizer.model_dump(mode="json")},
        inputs=_files(lambda folder: folder.curation),
        outputs=lambda folder: [folder.tokenizer_model],
    ),
    Stage(
        "tokenize",
        _tokenize,
        settings=lambda run: {
            "seed": run.seed,
            "records": run.records.model_dump(mode="json", exclude={"workers"}),
            "model": {"kind": run.model.kind},
        },
        inputs=_files(lambda folder: folder.curation, lambda folder: folder.tokenizer_model),
        outputs=lambda folder: [folder.manifest, *sorted(folder.corpus.glob("*.tfrecord"))],
    ),
    Stage(
        "train",
        _train,
        settings=lambda run: {
            "seed": run.seed,
            "model": run.model.model_dump(mode="json"),
            "training": run.training.model_dump(mode="json"),
        },
        inputs=_files(lambda folder: folder.manifest),
        outputs=lambda folder: [newest_checkpoint(folder)],
    ),
    Stage(
        "evaluate",
        _evaluate,
        settings=lambda run: {
            "evaluation": run.evaluation.model_dump(mode="json"),
            "generation": run.generation.model_dump(mode="json"),
        },
        inputs=lambda run, folder: {
            **_files(lambda folder: folder.manifest)(run, folder),
            **_used_checkpoint(run, folder),
        },
        outputs=lambda folder: [folder.evaluation],
    ),
    Stage(
        "export",
        _export,
        settings=lambda run: {"generation": run.generation.model_dump(mode="json")},
        inputs=lambda run, folder: {
            **_files(lambda folder: folder.tokenizer_model)(run, folder),
            **_used_checkpoint(run, folder),
        },
        outputs=lambda folder: [_newest_export(folder)],
    ),
)

BY_NAME = {stage.name: stage for stage in STAGES}


def train_stage(*, strict: bool) -> Stage:
    """Stage `train`; strict: a damaged newest checkpoint is an error."""
    return replace(BY_NAME["train"], perform=partial(_train, strict=strict))


def curate_stage(*, replay: bool = False, limit: int | None = None) -> Stage:
    """Stage `curate` in another manner: only what is new, only what was dead, or only a look."""
    stage = BY_NAME["curate"]

    def do(run: Run, folder: RunFolder) -> None:
        from pipelines import curate

        if limit is not None:
            curate.curate(run, folder, limit=limit)
            return
        read = curate.update(run, folder, replay=replay)
        console.say(f"curate: {read} files read" if read else "curate: nothing to read")

    # A look is no finished stage: its record names a limit that no run has.
    settings = stage.settings if limit is None else lambda _run: {"limit": limit}
    return replace(stage, perform=do, settings=settings)


def perform(stage: Stage, run: Run, folder: RunFolder) -> None:
    """Performs a stage and leaves the record by which it can be skipped.

    Raises:
        UserError: An input is missing; the message names the stage that makes it.
    """
    inputs = _inputs(stage, run, folder)
    console.say(f"{stage.name}: starts")
    start = time.monotonic()
    record = _record_path(stage, folder)
    with _settings_in_folder(run, folder):
        record.unlink(missing_ok=True)
        stage.perform(run, folder)
    _write(
        record,
        {"inputs": inputs, "settings": stage.settings(run), "outputs": _outputs(stage, folder)},
    )
    console.say(f"{stage.name}: done in {time.monotonic() - start:.1f} s")


def is_finished(stage: Stage, run: Run, folder: RunFolder) -> bool:
    """Whether the stage was performed on these inputs with these settings, and its result stands.

    Raises:
        UserError: An input is missing; the message names the stage that makes it.
    """
    inputs = _inputs(stage, run, folder)
    try:
        record = json.loads(_record_path(stage, folder).read_text())
        outputs = _outputs(stage, folder)
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    now = {"inputs": inputs, "settings": stage.settings(run), "outputs": outputs}
    return bool(record == json.loads(json.dumps(now)))


def finished(folder: RunFolder) -> list[Stage]:
    """The stages whose outputs are as they left them."""
    return [stage for stage in STAGES if _outputs_stand(stage, folder)]


def note_outputs(stages: Sequence[Stage], folder: RunFolder) -> None:
    """Notes that the outputs of finished stages were changed by llm-keras itself.

    Without that they would count as damaged, and be made anew.
    """
    for stage in stages:
        path = _record_path(stage, folder)
        record = json.loads(path.read_text())
        _write(path, record | {"outputs": _outputs(stage, folder)})


def _outputs_stand(stage: Stage, folder: RunFolder) -> bool:
    try:
        record = json.loads(_record_path(stage, folder).read_text())
        return bool(record["outputs"] == _outputs(stage, folder))
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return False


def _record_path(stage: Stage, folder: RunFolder) -> Path:
    return folder.stages / f"{stage.name}.json"


def _inputs(stage: Stage, run: Run, folder: RunFolder) -> Fingerprint:
    try:
        return stage.inputs(run, folder)
    except FileNotFoundError as error:
        missing = Path(error.filename)
        maker = next((made.name for made in STAGES if missing in made.outputs(folder)), "run")
        raise UserError(
            f"{stage.name}: {missing} is missing; run `llm-keras {maker}` first"
        ) from None


def _outputs(stage: Stage, folder: RunFolder) -> Fingerprint:
    """Sizes of what the stage left: cheap to look at, and a lost or cut file shows."""
    return {
        str(path.relative_to(folder.root)): path.stat().st_size for path in stage.outputs(folder)
    }


@contextmanager
def _settings_in_folder(run: Run, folder: RunFolder) -> Iterator[None]:
    """Keeps `run.yaml` in step with the work; a user's mistake leaves it as it was."""
    created = not folder.root.exists()
    previous = folder.run_file.read_bytes() if folder.run_file.exists() else None
    folder.root.mkdir(parents=True, exist_ok=True)
    files.write_whole(folder.run_file, run_file.dump(run))
    try:
        yield
    except UserError:
        if previous is not None:
            folder.run_file.write_bytes(previous)
        elif created:
            shutil.rmtree(folder.root)
        else:
            folder.run_file.unlink()
        raise


def _write(path: Path, content: Fingerprint) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, json.dumps(content, indent=1) + "\n")
