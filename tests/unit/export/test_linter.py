"""Each forbidden thing, really saved and really refused."""

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from llm_keras.export import linter

FLOATS = tf.TensorSpec([None, 2], tf.float32, "x")


def save(folder, function, *specs):
    """Saves a module whose only signature is `function`."""
    module = tf.Module()
    module.run = tf.function(function, input_signature=specs or [FLOATS])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return folder


def python(x):
    """Identity, by way of Python."""
    return x


def printed(x):
    """Identity that writes into the log."""
    tf.print(x)
    return x


@tf.function(jit_compile=True)
def compiled(x):
    """Needs XLA."""
    return x * 2


OPS = {
    "EagerPyFunc": lambda x: tf.reshape(tf.py_function(python, [x], tf.float32), [-1, 2]),
    "PyFunc": lambda x: tf.reshape(tf.numpy_function(python, [x], tf.float32), [-1, 2]),
    "PyFuncStateless": lambda x: tf.reshape(
        tf.numpy_function(python, [x], tf.float32, stateful=False), [-1, 2]
    ),
    "ReadFile": lambda x: x + tf.cast(tf.strings.length(tf.io.read_file("secret")), tf.float32),
    "PrintV2": printed,
    "_XlaMustCompile": compiled,
    "float64": lambda x: tf.cast(tf.cast(x, tf.float64) * 2, tf.float32),
}


@pytest.mark.parametrize("what", OPS)
def test_refuses_ops_that_a_server_cannot_or_should_not_run(what, tmp_path):
    """Files, Python, logs, XLA and float64, each found where it hides inside a function."""
    folder = save(tmp_path, OPS[what])
    with pytest.raises(linter.UnservableModelError, match=what):
        linter.check(folder)


def test_refuses_writing_files(tmp_path):
    """`WriteFile` has no output, and is found all the same."""

    def write(x):
        tf.io.write_file("stolen", tf.strings.as_string(x[0, 0]))
        return x

    with pytest.raises(linter.UnservableModelError, match="op WriteFile: writes files"):
        linter.check(save(tmp_path, write))


def test_refuses_ops_of_other_libraries(tmp_path):
    """An op that TensorFlow does not have, put into the file where a known one was."""
    folder = save(tmp_path, tf.nn.softsign)
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    nodes = [
        node
        for function in model.meta_graphs[0].graph_def.library.function
        for node in function.node_def
        if node.op == "Softsign"
    ]
    assert nodes
    for node in nodes:
        node.op = "MyFastSoftsign"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(linter.UnservableModelError, match="op MyFastSoftsign: neither"):
        linter.check(folder)


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        (tf.TensorSpec([None], tf.bfloat16, "x"), "input x: type bfloat16"),
        (tf.TensorSpec([None], tf.float64, "x"), "input x: type float64"),
        (tf.TensorSpec([None], tf.int64, "x"), "input x: type int64"),
        (tf.TensorSpec([], tf.float32, "x"), "input x: no batch dimension"),
        (tf.TensorSpec(None, tf.float32, "x"), "input x: no batch dimension"),
        (tf.TensorSpec([8], tf.float32, "x"), "input x: dimension 0 is 8"),
    ],
)
def test_refuses_inputs_and_outputs_that_clients_cannot_send(spec, finding, tmp_path):
    """Other types, scalars, unknown rank and a fixed batch; the output is like the input."""
    with pytest.raises(linter.UnservableModelError) as error:
        linter.check(save(tmp_path, tf.identity, spec))
    assert finding in str(error.value)
    assert "output" in str(error.value)


def test_passes_tensorflow_and_tf_text(tmp_path):
    """Control flow, strings, variables and an op of TF Text."""
    import tensorflow_text as tf_text

    def fine(x):
        text = tf_text.normalize_utf8(tf.strings.as_string(x[:, 0]))
        return {
            "length": tf.map_fn(tf.strings.length, text, fn_output_signature=tf.int32),
            "sign": tf.cond(tf.reduce_any(x > 0), lambda: x, lambda: -x),
        }

    linter.check(save(tmp_path, fine))
