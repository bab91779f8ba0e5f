"""Devices and threads of a process."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel import devices, engines

FRESH = """
import json, tensorflow as tf
from llm_keras import config
from llm_keras.parallel import devices, engines
pinned = devices.pin_threads()
devices.split_cpu(2)
threading = tf.config.threading
two = engines.from_config(config.Parallelism(data=2))
same = engines.from_config(config.Parallelism(data=2))
with two.scope():
    summed = two.strategy.run(lambda: two.sum([
        tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group + 1, tf.float32)]))
print(json.dumps({
    "pinned": pinned,
    "set": [threading.get_intra_op_parallelism_threads(),
            threading.get_inter_op_parallelism_threads()],
    "again": devices.pin_threads(),
    "visible": devices.visible(),
    "replicas": two.strategy.num_replicas_in_sync,
    "same": two.strategy is same.strategy,
    "sums": [float(v) for v in two.strategy.experimental_local_results(summed[0])],
}))
"""


@pytest.fixture(scope="module")
def fresh():
    """What a process sees that has computed nothing yet."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    child = subprocess.run(
        [sys.executable, "-c", FRESH], capture_output=True, text=True, check=True, env=environment
    )
    return json.loads(child.stdout)


def test_threads_are_pinned_to_the_processors_this_process_may_use(fresh):
    available = len(os.sched_getaffinity(0))
    assert fresh["pinned"] == {"intra_op": available, "inter_op": available}
    assert fresh["set"] == [available, available]
    assert fresh["again"] == fresh["pinned"]


def test_a_split_cpu_gives_two_replicas_that_sum(fresh):
    assert fresh["visible"] == ["/device:CPU:0", "/device:CPU:1"]
    assert fresh["replicas"] == 2
    assert fresh["sums"] == [3.0, 3.0]


def test_one_strategy_serves_a_set_of_devices(fresh):
    """A second one would number its collective operations like the first."""
    assert fresh["same"]


def test_devices_cannot_change_after_the_start():
    tf.constant(1)
    with pytest.raises(UserError, match=r"split_cpu\(3\) must come before anything is computed"):
        devices.split_cpu(3)


def test_one_replica_is_tensorflows_default():
    strategy = engines.from_config(config.Parallelism(data=1)).strategy
    assert strategy.num_replicas_in_sync == 1
    assert not isinstance(strategy, tf.distribute.MirroredStrategy)


def test_more_replicas_than_devices_is_an_error_with_both_numbers():
    with pytest.raises(
        UserError, match="data 99 x model 1 x stage 1 = 99 devices are asked for, but"
    ) as error:
        engines.from_config(config.Parallelism(data=99))
    assert "lower a factor, or without GPUs set training.parallelism.split_cpu" in str(error.value)
