"""Three ways over several devices: a mesh, weights cut over data, a pipeline."""

from __future__ import annotations

from svg import BLUE, GREEN, YELLOW, Picture

from llm_keras.parallel import schedules

#: Pixels of a forward pass. Two with gradients: backward, and before it forward once more.
FORWARD = 13


def parallelism() -> Picture:
    """The picture of docs/parallelism.md."""
    picture = Picture(880, 306, "A mesh, weights cut over data, a pipeline")
    _mesh(picture)
    _cut(picture)
    _pipeline(picture)
    return picture


def _mesh(picture: Picture) -> None:
    picture.text(130, 20, "dtensor: data 2 x model 2", bold=True)
    picture.text(130, 42, "heads, wide layer, vocabulary")
    for row, y in enumerate((64, 154)):
        picture.box(8, y, 66, 70, ("rows", f"{row + 1} of 2"), YELLOW)
        for column, x in enumerate((86, 176)):
            words = (f"device {2 * row + column}", f"piece {column + 1}", "of each")
            picture.box(x, y, 82, 70, words, BLUE)
    for y, words in (
        (250, "along a line: a sum after attention"),
        (268, "and after the wide layer; down"),
        (286, "a column: gradients, once a step"),
    ):
        picture.text(130, y, words, faint=True)


def _cut(picture: Picture) -> None:
    picture.text(420, 20, "shard_weights: all", bold=True)
    picture.text(420, 42, "weights, gradients, slots in pieces")
    for index, x in enumerate((304, 426)):
        picture.box(x, 60, 110, 34, (f"rows {index + 1} of 2",), YELLOW)
        picture.box(x, 114, 110, 46, (f"device {index}", "half of it all"), BLUE)
        picture.box(x, 182, 110, 46, ("whole weights", "while in use"), GREEN)
        picture.arrow((x + 55, 94), (x + 55, 114))
        picture.arrow((x + 55, 160), (x + 55, 182))
    for y, words in (
        (250, "pieces are gathered before use;"),
        (268, "each device sums and updates its own"),
    ):
        picture.text(420, y, words, faint=True)


def _pipeline(picture: Picture) -> None:
    picture.text(715, 20, "pipeline: stage 2, 4 micro-batches, 1f1b", bold=True)
    picture.text(606, 50, "time", anchor="start")
    picture.arrow((644, 50), (700, 50))
    orders = schedules.one_forward_one_backward(2, 4)
    spans = schedules.simulate(
        orders, lambda task: FORWARD if task.kind == "forward" else 3 * FORWARD
    )
    for task, (start, end) in spans.spans.items():
        fill = BLUE if task.kind == "forward" else GREEN
        words = (str(task.micro_batch + 1),)
        picture.box(606 + start, 74 + 60 * task.stage, end - start, 40, words, fill)
    for stage in (0, 1):
        picture.text(574, 94 + 60 * stage, f"device {stage}")
    for x, fill, words in ((606, BLUE, "forward"), (690, GREEN, "forward and backward")):
        picture.box(x, 196, FORWARD, FORWARD, (), fill)
        picture.text(x + 28, 205, words, anchor="start")
    for y, words in (
        (250, "the gaps are the bubble: (S - 1) / (M + S - 1)"),
        (268, "of the time, with S stages, M micro-batches"),
    ):
        picture.text(715, y, words, faint=True)
