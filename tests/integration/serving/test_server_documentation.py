"""What docs/serving.md says can be done, done."""

import re
import shlex
from pathlib import Path

import pytest

from serving import __main__ as server_command
from serving.conformance import __main__ as conformance_command
from serving.errors import HTTP_STATUS
from serving.server import start_in_background

DOCUMENT = Path(__file__).parents[3] / "docs" / "serving.md"


def commands():
    """The commands of the document's code blocks, each in one line."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    text = "\n".join(block for language, block in blocks if not language).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    "line", [line for line in commands() if line.startswith("python -m serving --")]
)
def test_commands_have_the_flags_that_exist(line):
    """Parsed as the command itself would."""
    arguments = shlex.split(line, comments=True)[3:]
    server_command.parse(arguments)


def test_the_conformance_tool_finds_a_good_server_good(reference_folder, capsys):
    """The three commands of the document, the middle one in the background."""
    lines = [line for line in commands() if "serving.conformance" in line]
    assert len(lines) == 2
    folder = reference_folder.parent / "exported"
    assert conformance_command.main(["export", str(folder)]) == 0
    assert str(folder / "00000123") in capsys.readouterr().out
    line = next(line for line in commands() if "--label" in line)
    options = server_command.parse(shlex.split(line)[3:])
    settings = server_command.settings_of(options)
    with start_in_background(folder, options.model_name, settings=settings) as url:
        assert conformance_command.main(["check", url]) == 0
    found = re.search(r"(\d+) of (\d+) cases as TensorFlow Serving", capsys.readouterr().out)
    assert found[1] == found[2]
    assert int(found[2]) > 100


def test_the_conformance_tool_finds_a_bad_server_bad(meeting_folder, capsys):
    """Another model under the name: predictions differ, and the cases that do are listed."""
    with start_in_background(meeting_folder, "half_plus_two") as url:
        assert conformance_command.main(["check", url]) == 1
    printed = capsys.readouterr().out
    assert "rows: expected" in printed
    assert "label: expected status 200, got 400" in printed


def test_statuses_in_the_document_are_those_of_the_code():
    """Every status that the server gives stands in the table."""
    row_starts = re.findall(r"^\| ([\d, ]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    documented = {int(number) for row in row_starts for number in row.split(",")}
    own = {400, 401, 403, 404, 408, 413, 431, 503, 504}
    assert documented == own
    assert own - set(HTTP_STATUS.values()) == {408, 413, 431}
