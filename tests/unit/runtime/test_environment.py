from collections.abc import Callable
from pathlib import Path

from mtls.address import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.environment import Environment
from runtime.errors import ConfigurationError


def test_reads_what_is_there() -> None:
    environment = Environment(
        {"P": "/data", "N": "7", "S": "1.5", "C": "json", "A": "[::1]:8443", "T": "hello"}
    )
    assert environment.path("P") == Path("/data")
    assert environment.integer("N") == 7
    assert environment.seconds("S") == 1.5
    assert environment.choice("C", ("json", "console")) == "json"
    assert environment.address("A") == Address("::1", 8443)
    assert environment.text("T") == "hello"


def test_falls_back_on_the_default() -> None:
    environment = Environment({"EMPTY": ""})
    assert environment.integer("N", 0) == 0
    assert environment.text("EMPTY", "default") == "default"
    assert environment.path("P", Path("here")) == Path("here")
    assert environment.optional_path("P") is None


@pytest.mark.parametrize(
    "read",
    [
        lambda environment: environment.text("X"),
        lambda environment: environment.path("X"),
        lambda environment: environment.integer("X"),
        lambda environment: environment.seconds("X"),
        lambda environment: environment.choice("X", ("a",)),
        lambda environment: environment.address("X"),
    ],
)
def test_names_the_variable_that_is_missing(read: Callable[[Environment], object]) -> None:
    with pytest.raises(ConfigurationError, match="X is not set: it should hold"):
        read(Environment({}))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda environment: environment.integer("X", minimum=1, maximum=9), "0"),
        (lambda environment: environment.integer("X", minimum=1, maximum=9), "10"),
        (lambda environment: environment.integer("X"), "1.5"),
        (lambda environment: environment.integer("X"), "many"),
        (lambda environment: environment.seconds("X"), "-1"),
        (lambda environment: environment.seconds("X"), "nan"),
        (lambda environment: environment.seconds("X"), "soon"),
        (lambda environment: environment.choice("X", ("json", "console")), "xml"),
        (lambda environment: environment.address("X"), "localhost"),
        (lambda environment: environment.address("X"), ":8443"),
        (lambda environment: environment.address("X"), "localhost:http"),
        (lambda environment: environment.address("X"), "localhost:65536"),
        (lambda environment: environment.address("X"), "localhost:-1"),
        (lambda environment: environment.address("X"), "::1:8443"),
        (lambda environment: environment.address("X"), "localhost:²"),
    ],
)
def test_names_the_variable_that_is_wrong_and_what_it_should_hold(
    read: Callable[[Environment], object], text: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(Environment({"X": text}))
    assert str(raised.value).startswith(f"X is {text!r}: it should hold ")


@given(host=st.ip_addresses().map(str), port=st.integers(0, 65535))
def test_an_address_is_read_as_it_is_written(host: str, port: int) -> None:
    address = Address(host, port)
    assert Environment({"X": str(address)}).address("X") == address


@given(st.text())
def test_no_text_breaks_the_reader_of_addresses(text: str) -> None:
    try:
        address = Environment({"X": text}).address("X")
    except ConfigurationError:
        return
    assert 0 <= address.port < 2**16
