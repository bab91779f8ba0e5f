"""Training as an ordered recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from llm_keras import config, console, models, tokenizers
from llm_keras.data import input_pipeline
from llm_keras.data.manifest import settings_hash
from llm_keras.data.records import RecordStore
from llm_keras.errors import DivergedError, InterruptedRunError, UserError
from llm_keras.models.masking import Masking
from llm_keras.parallel import devices, engines, rematerialization
from llm_keras.parallel.engine import Engine
from llm_keras.run_folder import RunFolder
from llm_keras.training import (
    checkpoint_files,
    checkpoints,
    consumed,
    lock,
    lora,
    optimizers,
    resume,
    stopping,
)
from llm_keras.training.background import BackgroundWriter
from llm_keras.training.callbacks import StepCallback, Stop, Validation
from llm_keras.training.checkpoint_files import Checkpoint, DamagedError
from llm_keras.training.curves import Curves
from llm_keras.training.divergence import Watch
from llm_keras.training.json_lines import JsonLines
from llm_keras.training.keeping import VALIDATION_LOSS
from llm_keras.training.profiling import Profile
from llm_keras.training.resume import Facts
from llm_keras.training.saving import Checkpoints
from llm_keras.training.step_metrics import StepMetrics
from llm_keras.training.stopping import StopRequest
from llm_keras.training.trainer import Trainer
from llm_keras.training.utilization import measure

#: The rows to learn from, and the held-out ones.
Stores = tuple[RecordStore, RecordStore]


def train(run: config.Run, folder: RunFolder, *, strict: bool = False) -> None:
    """Trains as `run.training` says, from the newest checkpoint on if there is one.

    Leaves checkpoints, metrics.jsonl and validation.jsonl in the run folder. Stopped by a signal, a
    kill or a power cut, and called again, it writes the same losses, bit for bit, as if nothing had
    happened; on the same machine with the same number of threads.

    Raises:
        UserError: The corpus is missing or damaged, a setting changed since the checkpoint, another
            process trains here, more devices are asked for than there are, or the disk is full.
        InterruptedRunError: SIGTERM or Ctrl-C; the work is saved.
        DivergedError: The loss or its gradient is not finite, or there were too many steps that
            were skipped for that; the checkpoints before it stand.
    """
    parallelism = run.training.parallelism
    at_once = parallelism.devices if parallelism.strategy == "pipeline" else 1
    threads = devices.pin_threads(at_once)  # before TensorFlow makes its devices
    if parallelism.split_cpu > 1:
        devices.split_cpu(parallelism.split_cpu)
    engine = engines.of_training(run.training)
    if not engine.is_chief:
        console.quieten()
    with engine.together(), lock.only_one(folder.training_lock, chief=engine.is_chief):
        stores = _open_corpus(run, folder)
        facts = resume.facts(run, stores[0].manifest, threads)
        facts["rows"] = consumed.facts(run, stores[0])
        _agree(engine, facts)
        checkpoint = _newest(engine, folder.checkpoints, strict=strict)
        _check(checkpoint, run, facts)
        if checkpoint is not None and checkpoint.step == run.training.total_steps:
            console.say(f"train: all {checkpoint.step} steps are done already")
            return
        with engine.scope(), stopping.on_signals(engine.any_process) as stop:
            trainer = _trainer(run, folder, engine)
            for line in engine.report(trainer.network.variables, trainer.optimizer.variables):
                console.say(line)
            if checkpoint is not None:
                _restore(checkpoint, trainer, folder)
                facts["divergence"] = checkpoint.manifest.get("divergence")
            try:
                _fit(run, folder, trainer, stores, facts, stop)
            except DivergedError as error:
                raise DivergedError(f"{error}. {_kept(folder)}") from None


def _open_corpus(run: config.Run, folder: RunFolder) -> Stores:
    """The rows of both splits, made with this run's tokenizer and sequence length."""
    tokenizer = resume.file_sha256(folder.tokenizer_model)
    rows = RecordStore(folder.corpus, "train", tokenizer)
    made_with = {
        "records.sequence_length": (run.records.sequence_length, rows.manifest.sequence_length),
        "tokenizer.vocabulary_size": (run.tokenizer.vocabulary_size, rows.manifest.vocabulary_size),
    }
    needed = "pairs" if run.model.kind == "encoder_decoder" else "packed"
    if (rows.manifest.kind == "pairs") != (needed == "pairs"):
        raise UserError(
            f"model.kind {run.model.kind} learns from {needed} rows, but the records in"
            f" {folder.corpus} are {rows.manifest.kind}; run `llm-keras tokenize` again"
        )
    if (
        run.tokenizer.kind == "imported"
        and rows.manifest.vocabulary_size < run.tokenizer.vocabulary_size
    ):
        del made_with["tokenizer.vocabulary_size"]  # its embedding has rows for no piece at all
    for field, (expected, found) in made_with.items():
        if expected != found:
            raise UserError(
                f"{field} is {expected}, but the records in {folder.corpus} were made with {found};"
                " change it back, or run `llm-keras tokenizer` and `llm-keras tokenize` again"
            )
    return rows, RecordStore(folder.corpus, "validation", tokenizer)


def _agree(engine: Engine, facts: Facts) -> None:
    """All processes must be about to train the same."""
    number = int(settings_hash({**facts["settings"], **facts["data"]})[:12], 16)
    if engine.from_chief(number) != number:
        raise UserError(
            f"worker {engine.part} has another run file, corpus or tokenizer than worker 0; start"
            " all with the same ones"
        )


def _newest(engine: Engine, root: Path, *, strict: bool) -> Checkpoint | None:
    """The checkpoint that the chief goes on from, for all processes."""
    if engine.is_chief:
        checkpoint_files.clean(root)
        checkpoint = checkpoints.latest(root, strict=strict)
        engine.from_chief(-1 if checkpoint is None else checkpoint.step)
        return checkpoint
    step = engine.from_chief(0)
    if step < 0:
        return None
    path = checkpoint_files.folder_of(root, step)
    try:
        return checkpoint_files.verify(path)
    except DamagedError as error:
        raise UserError(
            f"{path}: {error}; worker 0 goes on from it, so all workers must see one run folder"
        ) from None


def _check(checkpoint: Checkpoint | None, run: config.Run, facts: Facts) -> None:
    """Whether this training can go on, or start, from the checkpoint."""
    if checkpoint is None:
        if run.training.lora is not None:
            raise UserError(
                "training.lora adds to weights that are trained already, but there are none; run"
                " `llm-keras import` into this folder first, or remove training.lora"
            )
    elif checkpoints.is_initial(checkpoint):
        resume.check_initial(checkpoint.manifest, facts, checkpoint.path)
    else:
        resume.check(checkpoint.manifest, facts, checkpoint.path)


def _trainer(run: config.Run, folder: RunFolder, engine: Engine) -> Trainer:
    """The network with its optimizer; under the engine's scope."""
    settings = run.training
    network = models.build(run)
    if settings.lora is not None:
        lora.add(network, settings.lora, run.seed)  # before the optimizer: it has slots for these
    rematerialization.install(network, settings)
    trainer = Trainer(
        network,
        seed=run.seed,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        label_smoothing=settings.label_smoothing,
        z_loss=settings.z_loss,
        masking=_masking(run, folder) if run.model.kind == "masked_lm" else None,
        ema_decay=settings.ema_decay,
        engine=engine,
        skips_bad_steps=settings.divergence.goes_on,
    )
    trainer.compile(
        optimizers.build(settings, network.trainable_variables, run.model.width_multiplier),
        jit_compile=settings.jit_compile,
    )
    return trainer


def _masking(run: config.Run, folder: RunFolder) -> Masking:
    """What a masked_lm must guess, with the ids of the run's tokenizer."""
    tokenizer = tokenizers.load(folder.tokenizer_model)
    if tokenizer.mask_id is None:
        raise UserError(
            f"{folder.tokenizer_model}: has no mask piece, which a masked_lm needs; add <mask> to"
            " tokenizer.user_symbols and run `llm-keras tokenizer` and `llm-keras tokenize` again"
        )
    special = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    special.update(range(tokenizer.vocabulary_size, run.tokenizer.vocabulary_size))
    return Masking(
        run.training.masking, run.tokenizer.vocabulary_size, tokenizer.mask_id, sorted(special)
    )


def _restore(checkpoint: Checkpoint, trainer: Trainer, folder: RunFolder) -> None:
    checkpoints.restore(checkpoint, trainer)
    if trainer.engine.is_chief:
        checkpoint_files.set_aside(folder.checkpoints, checkpoint)
    if checkpoints.is_initial(checkpoint):
        console.say(f"train: starts from the weights in {checkpoint.path}")
    else:
        console.say(f"train: goes on after step {checkpoint.step}")


def _fit(
    run: config.Run,
    folder: RunFolder,
    trainer: Trainer,
    stores: Stores,
    facts: Facts,
    stop: StopRequest,
) -> None:
    """The remaining steps, as one Keras epoch."""
    settings, start = run.training, trainer.step
    with (
        JsonLines(folder.metrics, start, writes=trainer.engine.is_chief) as metrics,
        JsonLines(folder.validation_metrics, start, writes=trainer.engine.is_chief) as validation,
        console.progress("train", settings.total_steps, initial=start, unit="steps") as progress,
        input_pipeline.reader_errors(*stores),
        BackgroundWriter() as writer,
    ):
        batches, held_out = _datasets(run, stores, start, trainer.engine)
        watch = Watch(settings, folder.checkpoints, writer, facts.get("divergence"))
        validating = Validation(held_out, validation, settings, stop)

        def facts_at(step: int) -> Facts:
            loss = validating.loss_at(step)
            return {**facts, VALIDATION_LOSS: loss, "divergence": watch.history.to_json()}

        saving = Checkpoints(folder.checkpoints, settings, facts_at, metrics, writer, stop)
        utilization = measure(run, trainer.engine)
        console.say(f"train: {utilization}")
        figures = StepMetrics(metrics, progress, watch, utilization, settings.total_steps)
        callbacks = [
            watch,  # First: what a step leaves is settled before others look at it.
            *(_profile(settings, folder) if trainer.engine.is_chief else ()),
            figures,
            Stop(stop),  # Where processes meet, one may be lost: the step's line stands already.
            validating,
            *(_curves(settings, folder, figures, validating) if trainer.engine.is_chief else ()),
            saving,  # Last: what belongs to a step is written before the step is saved.
        ]
        try:
            trainer.fit(
                batches,
                steps_per_epoch=settings.total_steps - start,
                callbacks=callbacks,
                shuffle=False,  # The order is the dataset's own.
                verbose=0,
            )
        except tf.errors.OpError as error:
            # The updates so far are good; it is the next rows that are not, or other processes.
            good = any(store.failure for store in stores) or trainer.engine.lost(error)
            if good and metrics.last_step == trainer.step > max(start, saving.saved_step):
                saving.save()
            raise
    if stop and trainer.step < settings.total_steps:
        raise InterruptedRunError(
            f"{stop} at step {trainer.step} of {settings.total_steps}: saved; run"
            " `llm-keras train` again to go on"
        )


def _profile(settings: config.Training, folder: RunFolder) -> list[StepCallback]:
    """A trace of the device's work, if somebody asked for it."""
    return [Profile(folder.profile, *settings.profile_steps)] if settings.profile_steps else []


def _curves(
    settings: config.Training, folder: RunFolder, figures: StepMetrics, validating: Validation
) -> list[StepCallback]:
    """What TensorBoard shows, if somebody asked for it."""
    return [Curves(folder.tensorboard, figures, validating.loss_at)] if settings.tensorboard else []


def _datasets(run: config.Run, stores: Stores, start: int, engine: Engine) -> tuple[Any, Any]:
    """Batches from step `start` on without end, and the held-out rows."""
    settings = run.training

    def batches(part: int, parts: int) -> tf.data.Dataset:
        return input_pipeline.batches(
            stores[0],
            global_batch_size=settings.global_batch_size,
            seed=run.seed,
            start_step=start,  # a seek, not a skip
            part=part,
            parts=parts,
            multiple_of=resume.batch_multiple(settings),
        )

    def held_out(part: int, parts: int) -> tf.data.Dataset:
        return input_pipeline.validation_batches(
            stores[1],
            settings.global_batch_size // settings.gradient_accumulation_steps,
            settings.validation_rows,
            part=part,
            parts=parts,
            multiple_of=settings.parallelism.data,
        )

    return engine.dataset(batches), engine.dataset(held_out)


def _kept(folder: RunFolder) -> str:
    steps = checkpoint_files.steps(folder.checkpoints)
    return f"The newest checkpoint is of step {steps[0]}" if steps else "There is no checkpoint yet"
