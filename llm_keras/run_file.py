"""Reads a run file, applies overrides, and reports a mistake as one clear line.

The rest of the package only ever sees the validated `config.Run`.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from llm_keras.config import Run
from llm_keras.errors import UserError

#: A run file is a page or two; more nodes than this is an alias bomb or the wrong file.
MAXIMUM_NODES = 10_000

Lines = dict[tuple[str | int, ...], int]


def load(path: Path, overrides: Sequence[str] = ()) -> Run:
    """Reads the run file at `path` and applies `key.path=value` overrides.

    Raises:
        UserError: The file cannot be read, is not YAML, or does not fit `config.Run`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such run file; `configs/` has complete examples") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a UTF-8 run file: {error}") from None
    return parse(text, str(path), overrides)


def parse(text: str, name: str, overrides: Sequence[str] = ()) -> Run:
    """Validates the run file `text`; `name` stands for it in messages."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_lines(tree))
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not valid YAML: {_one_line(str(error))}") from None
    if not isinstance(settings, dict):
        raise UserError(f"{name}: expected sections such as corpus and model, found no mapping")
    for override in overrides:
        _override(settings, override)
    try:
        return Run.model_validate(settings)
    except ValidationError as error:
        raise UserError(_explain(error, name, lines)) from None


def dump(run: Run) -> str:
    """The complete settings as YAML; `parse` gives the same run back."""
    return yaml.safe_dump(run.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _override(settings: dict[str, Any], override: str) -> None:
    """Sets one field of the raw settings; the value is read as YAML."""
    path, separator, value = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise UserError(f"--set {override}: expected FIELD=VALUE, as in training.total_steps=50")
    section = settings
    for key in keys[:-1]:
        if section.get(key) is None:
            section[key] = {}
        section = section[key]
        if not isinstance(section, dict):
            raise UserError(f"--set {override}: {key} is not a section")
    try:
        section[keys[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: not a YAML value: {_one_line(str(error))}") from None


def _lines(node: yaml.Node | None) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """The line of every key, by path. Also refuses repeated keys and runaway aliases."""
    seen = 0

    def walk(node: yaml.Node, path: tuple[str | int, ...]) -> Iterator[tuple[Any, int]]:
        nonlocal seen
        seen += 1
        if seen > MAXIMUM_NODES:
            raise yaml.YAMLError(f"more than {MAXIMUM_NODES} values; aliases that multiply?")
        yield path, node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if key.value in keys:
                    raise yaml.YAMLError(
                        f"line {key.start_mark.line + 1}: key {key.value} stands twice"
                    )
                keys.add(key.value)
                for found, line in walk(value, (*path, key.value)):
                    yield found, key.start_mark.line + 1 if found == (*path, key.value) else line
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield from walk(value, (*path, index))

    if node is not None:
        yield from walk(node, ())


def _explain(error: ValidationError, name: str, lines: Lines) -> str:
    """The mistakes as `field: what is wrong (file line N)`, one a line."""
    return "\n".join(_explain_one(dict(entry), name, lines) for entry in error.errors())


def _explain_one(entry: Mapping[str, Any], name: str, lines: Lines) -> str:
    location = tuple(entry["loc"])
    field = ".".join(str(part) for part in location) or "run"
    if entry["type"] == "extra_forbidden":
        problem = f"unknown key{_nearest(location)}"
    elif entry["type"] == "missing":
        problem = "missing; give it a value"
    else:
        problem = entry["msg"].removeprefix("Value error, ")
        if not isinstance(entry["input"], dict | list | BaseModel):
            problem += f", got {entry['input']!r}"
    known = location
    while known and known not in lines:
        known = known[:-1]
    place = f"{name} line {lines[known]}" if known and known in lines else name
    return f"{field}: {problem} ({place})"


def _nearest(location: tuple[str | int, ...]) -> str:
    """`; did you mean ...?` with the known key that is nearest to the unknown one."""
    known: list[str] = []
    section: type[BaseModel] | None = Run
    for part in location[:-1]:
        if section is not None and isinstance(part, str):
            section = _section(section.model_fields[part].annotation)
    if section is not None:
        known = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}"


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section model inside an annotation such as `Length | None` or `tuple[Source, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple, typing.Annotated):
        for argument in typing.get_args(annotation):
            if (found := _section(argument)) is not None:
                return found
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def describe(section: type[BaseModel] = Run, prefix: str = "") -> Iterator[str]:
    """One line for each field: its path, default and meaning."""
    for name, field in section.model_fields.items():
        inner = _section(field.annotation)
        if inner is not None:
            yield f"{prefix}{name}: {_one_line(inner.__doc__ or '')}"
            yield from describe(inner, f"{prefix}{name}.")
        else:
            default = "required" if field.is_required() else f"default {field.default!r}"
            yield f"{prefix}{name} ({default}) {field.description or ''}".rstrip()
