"""Size, time and number of requests: refused with a status of their own, and the next is served."""

import gzip
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from serving.server import start_in_background
from serving.settings import Settings

MODEL = "/v1/models/model"
PREDICT = f"{MODEL}:predict"
GOOD = {"instances": [1.0]}


def body_of(size):
    """A good request padded to `size` bytes."""
    return json.dumps(GOOD) + " " * (size - len(json.dumps(GOOD)))


@pytest.fixture(scope="module")
def small_server(meeting_folder):
    """Small limits, so that the tests are quick."""
    settings = Settings(body_bytes=10_000, body_seconds=0.5, threads=2)
    with start_in_background(meeting_folder, settings=settings) as url:
        yield url


@pytest.fixture(autouse=True)
def _next_is_served(request, ask):
    """Whatever a test did to its server, a good request succeeds afterwards."""
    yield
    if "small_server" in request.fixturenames:
        url = request.getfixturevalue("small_server")
        assert ask(url, PREDICT, GOOD).json == {"predictions": [1.0]}


def exchange(url, *pieces):
    """Sends raw bytes and returns everything that comes back."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_the_largest_body_and_one_byte_more(small_server, ask):
    """The limit is exact."""
    assert ask(small_server, PREDICT, body_of(10_000)).status == 200
    answer = ask(small_server, PREDICT, body_of(10_001))
    assert (answer.status, answer.error) == (413, "the request body exceeds 10000 bytes")


def test_a_large_chunked_body(small_server, ask):
    """Its length is not announced; it is counted."""
    answer = ask(small_server, PREDICT, iter_body(), headers={"Transfer-Encoding": "chunked"})
    assert answer.status == 413


def iter_body():
    """20 chunks as HTTP writes them."""
    return b"".join(b"3e8\r\n" + b" " * 1000 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"


def test_a_body_of_100_megabytes(meeting_folder, ask):
    """Refused with an answer that the client gets to read, and not kept in memory."""
    with start_in_background(meeting_folder) as url:
        answer = ask(url, PREDICT, b" " * 100_000_000)
        assert (answer.status, answer.error) == (413, "the request body exceeds 8388608 bytes")
        assert ask(url, PREDICT, GOOD).status == 200


def test_gzip_counts_unpacked(small_server, ask):
    """10 MB of zeros in 10 kB."""
    bomb = gzip.compress(bytes(10_000_000 // 2))
    assert len(bomb) < 10_000
    answer = ask(small_server, PREDICT, bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status == 413


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"not gzip", "the request body is not valid gzip"),
        (gzip.compress(json.dumps(GOOD).encode(), mtime=0)[:-9], "it ends too early"),
        (b"", "it ends too early"),
    ],
)
def test_broken_gzip(small_server, ask, body, message):
    """Wrong, cut, and empty."""
    answer = ask(small_server, PREDICT, body, headers={"Content-Encoding": "gzip"})
    assert answer.status == 400
    assert message in answer.error


def test_a_slow_body(small_server):
    """The rest never comes; the connection ends with a status."""
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"
    received = exchange(small_server, head.encode(), b'{"inst')
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.5 seconds" in received


def test_a_huge_header(small_server, ask):
    """Answered as such up to about 64 kB, where the parser itself cuts the connection."""
    answer = ask(small_server, MODEL, headers={"X-Large": "x" * 20_000})
    assert (answer.status, answer.error) == (431, "path and headers exceed 16384 bytes")
    long_path = ask(small_server, f"{MODEL}?{'x' * 20_000}")
    assert long_path.status == 431


@pytest.mark.parametrize("request_bytes", [b"\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
def test_what_is_not_http(small_server, request_bytes):
    """400 and the end of the connection."""
    assert exchange(small_server, request_bytes).startswith(b"HTTP/1.1 400 ")


def test_clients_that_leave_early(meeting_folder, ask):
    """Fifty of them take no place for good, though only two may be open at once."""
    settings = Settings(open_requests=2, threads=1, queue=1)
    with start_in_background(meeting_folder, settings=settings) as url:
        parts = urlsplit(url)
        for _ in range(50):
            with socket.create_connection((parts.hostname, parts.port)) as connection:
                connection.sendall(
                    f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Length: 99\r\n\r\n{".encode()
                )
        answers = [ask(url, PREDICT, GOOD).status for _ in range(20)]
        assert answers[-1] == 200
        assert set(answers) <= {200, 503}


def test_two_requests_are_in_the_model_at_once(small_server, ask):
    """One waits inside the model for what the other brings: neither alone could end."""
    with ThreadPoolExecutor() as pool:
        take = pool.submit(ask, small_server, PREDICT, {"signature_name": "take", "inputs": [1.0]})
        put = ask(small_server, PREDICT, {"signature_name": "put", "inputs": [41.0]})
        assert put.status == 200
        assert take.result().json == {"outputs": [42.0]}


def test_a_full_queue(meeting_folder, ask, wait_until):
    """503 at once with a hint when to return; status is still answered; then all goes on."""
    settings = Settings(threads=1, queue=0, timeout_seconds=3)
    with (
        start_in_background(meeting_folder, settings=settings) as url,
        ThreadPoolExecutor() as pool,
    ):

        def take():
            """Once it is inside the model it stays there; before, the requests below may win."""
            while True:
                answer = ask(url, PREDICT, {"signature_name": "take", "inputs": [1.0]})
                if answer.status != 503:
                    return answer

        waiting = pool.submit(take)
        refused = []
        wait_until(lambda: refused.append(ask(url, PREDICT, GOOD)) or refused[-1].status == 503)
        assert refused[-1].headers["retry-after"] == "1"
        assert refused[-1].error == "too many requests are waiting; try again later"
        assert ask(url, MODEL).status == 200
        timed_out = waiting.result()
        assert timed_out.status == 504
        assert timed_out.error == "the model did not finish within the time allowed"
        assert ask(url, PREDICT, GOOD).status == 200


def test_too_many_open_requests(meeting_folder, ask, wait_until):
    """Bodies that are still arriving count, so that memory is bounded."""
    with start_in_background(meeting_folder, settings=Settings(open_requests=1)) as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port)) as slow:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            slow.sendall(head.encode())
            wait_until(lambda: ask(url, MODEL).status == 503)
            assert ask(url, MODEL).error == "too many open requests; try again later"
        wait_until(lambda: ask(url, MODEL).status == 200)


def test_stopping_cancels_what_still_runs(meeting_folder, ask):
    """A request that would wait for ever does not keep the server from ending."""
    settings = Settings(drain_seconds=1)
    answers = []
    with start_in_background(meeting_folder, settings=settings) as url:
        body = {"signature_name": "take", "inputs": [1.0]}

        def asking():
            try:
                answers.append(ask(url, PREDICT, body).status)
            except OSError as error:
                answers.append(type(error).__name__)

        thread = threading.Thread(target=asking)
        thread.start()
        assert ask(url, MODEL).status == 200
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert answers != [200]
