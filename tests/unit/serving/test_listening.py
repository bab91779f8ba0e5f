"""The socket, and every mistake about it in one line."""

import socket

import pytest

from llm_keras.errors import UserError
from serving import listening


def test_a_taken_port_is_named():
    """The other program really listens: the fault is not made up."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError) as caught:
            listening.bind("127.0.0.1", port, key=None)
    assert str(caught.value).startswith(f"port {port} is in use on 127.0.0.1: stop the program")
    assert "\n" not in str(caught.value)


def test_a_port_taken_between_binding_and_listening_is_named():
    """The model loads in between; somebody may have been faster."""
    first = listening.bind("127.0.0.1", 0, key=None)
    port = first.getsockname()[1]
    second = listening.bind("127.0.0.1", port, key=None)  # both bound, none listens yet
    with first:
        listening.listen(first)
        with pytest.raises(UserError, match=f"port {port} is in use"):
            listening.listen(second)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_need_a_key(host):
    """Without one the server refuses to start, and says which variable it looked at."""
    with pytest.raises(UserError) as caught:
        listening.bind(host, 0, key=None, variable="MY_KEY")
    assert "refusing to listen on" in str(caught.value)
    assert "environment variable MY_KEY" in str(caught.value)


def test_with_a_key_every_interface_is_fine():
    """The printed address is one that this machine reaches."""
    with listening.bind("0.0.0.0", 0, key="secret") as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
        assert listening.url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 65_536, "port 65536 does not exist"),
        ("127.0.0.1", -1, "port -1 does not exist"),
        ("no.such.host.invalid", 0, "host 'no.such.host.invalid' is unknown"),
        ("a" * 70, 0, "is unknown"),
        ("192.0.2.1", 0, "cannot listen on 192.0.2.1 port 0"),
    ],
)
def test_impossible_places(host, port, message):
    """192.0.2.0/24 is reserved for documentation: no machine has such an address."""
    with pytest.raises(UserError, match=message):
        listening.bind(host, port, key="secret")


def test_the_key_comes_from_the_environment(monkeypatch):
    """An empty variable is as good as none."""
    monkeypatch.setenv("MY_KEY", "secret")
    monkeypatch.setenv("EMPTY", "")
    assert listening.api_key("MY_KEY") == "secret"
    assert listening.api_key("EMPTY") is None
    assert listening.api_key("NOT_SET_ANYWHERE") is None


def test_ipv6_addresses_are_bracketed():
    """Otherwise the port could not be told from the address."""
    try:
        listener = listening.bind("::1", 0, key=None)
    except UserError:
        pytest.skip("no IPv6 here")
    with listener:
        assert listening.url(listener) == f"http://[::1]:{listener.getsockname()[1]}"
