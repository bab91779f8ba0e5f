"""One piece of work at a time, beside training; its failure comes out, once."""

import threading
import time

import pytest

from llm_keras.errors import UserError
from llm_keras.training.background import BackgroundWriter


def fail():
    raise UserError("the disk is full")


def test_training_goes_on_while_it_writes():
    go_on, done = threading.Event(), []
    with BackgroundWriter() as writer:
        writer.start(lambda: (go_on.wait(10), done.append(threading.current_thread())))
        writer.check()
        assert not done
        go_on.set()
    assert done
    assert done[0] is not threading.current_thread()


def test_one_at_a_time_and_in_order():
    running, order = [], []

    def write(number):
        running.append(number)
        assert len(running) == 1
        time.sleep(0.01)
        order.append(running.pop())

    with BackgroundWriter() as writer:
        for number in range(5):
            writer.start(lambda number=number: write(number))
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("way", ["check", "wait", "start", "leave"])
def test_a_failure_comes_out_of_the_next_call(way):
    writer = BackgroundWriter()
    with pytest.raises(UserError, match="disk is full"), writer:  # noqa: PT012
        writer.start(fail)
        while not writer._pending.done():
            time.sleep(0.001)
        if way != "leave":
            getattr(writer, way)(*[lambda: None] * (way == "start"))
    with writer:
        pass  # it came out once


def test_beside_another_error_a_failure_is_a_warning(capfd):
    with pytest.raises(RuntimeError, match="the first"), BackgroundWriter() as writer:  # noqa: PT012
        writer.start(fail)
        raise RuntimeError("the first")
    assert capfd.readouterr().err == "warning: the disk is full\n"
