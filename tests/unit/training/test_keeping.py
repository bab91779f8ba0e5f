"""Old checkpoints go, unless there is a reason to keep them."""

import numpy as np
import pytest

from llm_keras.errors import UserError
from llm_keras.training import checkpoint_files, keeping
from llm_keras.training.keeping import Keep

PARTS = {"network": {"a": np.zeros(3, "float32")}}


def save(root, step, loss=None):
    return checkpoint_files.save(root, step, PARTS, {keeping.VALIDATION_LOSS: loss})


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (Keep(), {500}),
        (Keep(last=2), {400, 500}),
        (Keep(last=9), {100, 200, 250, 300, 400, 500}),
        (Keep(every_steps=200), {200, 400, 500}),
        (Keep(best=1), {200, 500}),
        (Keep(best=2), {200, 300, 500}),
        (Keep(best=9), {100, 200, 300, 500}),
        (Keep(last=1, every_steps=300, best=1), {200, 300, 500}),
        (Keep(return_every_steps=250), {500}),
        (Keep(return_every_steps=400), {400, 500}),
        (Keep(return_every_steps=1000), {500}),
    ],
)
def test_each_reason_is_enough(keep, kept):
    losses = {100: 3.0, 200: 1.0, 250: None, 300: 1.0, 400: float("nan"), 500: 4.0}
    assert keep.chosen(losses) == kept


def test_what_there_is_no_reason_for_is_removed(tmp_path):
    for step, loss in [(100, 2.0), (200, 1.5), (300, 1.8), (400, None)]:
        save(tmp_path, step, loss)
    assert keeping.losses_of(tmp_path) == {400: None, 300: 1.8, 200: 1.5, 100: 2.0}
    keeping.prune(tmp_path, Keep(last=1, best=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000200", "step-00000400"]


def test_a_damaged_manifest_has_no_loss(tmp_path):
    (save(tmp_path, 100, 1.0) / "manifest.json").write_text("{")
    save(tmp_path, 200, 2.0)
    assert keeping.losses_of(tmp_path) == {200: 2.0, 100: None}
    keeping.prune(tmp_path, Keep(best=1))
    assert checkpoint_files.steps(tmp_path) == [200]


def test_one_that_cannot_be_removed_is_named(tmp_path):
    """A file stands where the folder would be moved to on its way out."""
    save(tmp_path, 100)
    save(tmp_path, 200)
    (tmp_path / ".removing-step-00000100").write_text("in the way")
    with pytest.raises(UserError, match="step-00000100: an old checkpoint that cannot be removed"):
        keeping.prune(tmp_path, Keep())
    assert checkpoint_files.newest(tmp_path)[0].step == 200
