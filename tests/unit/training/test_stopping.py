"""A first signal is a request, a second one is not."""

import os
import signal
import threading

import pytest

from llm_keras.training import stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_becomes_a_request(number):
    with stopping.on_signals() as stop:
        assert not stop.agree()
        os.kill(os.getpid(), number)
        assert not stop
        assert stop.agree()
        assert stop
        assert str(stop) == number.name


def test_what_one_process_is_told_all_find_out_together():
    told = []
    stop = stopping.StopRequest(lambda here: told.append(here) or len(told) == 2)
    assert [stop.agree(), bool(stop), stop.agree(), bool(stop), stop.agree()] == [
        *(False, False, True, True, True)
    ]
    assert told == [False, False]
    assert str(stop) == "another worker was told to stop"


def test_a_signal_that_was_made_wait_comes_when_somebody_listens():
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
    signal.raise_signal(signal.SIGTERM)  # to this thread: others would take it
    with stopping.on_signals() as stop:
        assert stop.agree()


def test_a_second_interrupt_interrupts():
    # A program that a shell starts in the background ignores SIGINT, and so may this one.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stopping.on_signals():  # noqa: PT012
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_the_handlers_from_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stopping.on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_nobody_is_listened_to():
    seen = []

    def run():
        with stopping.on_signals() as stop:
            seen.append(stop.agree())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [False]
