"""A handshake as a file: the same when it is read again, and never believed."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doctor.meaning import ENTRIES, meaning_of
from doctor.picture import picture
from doctor.recording import FORMAT, RecordingError, from_json
from tests.pages import ROOT
from tests.unit.doctor.handshakes import KINDS, console, in_memory


def saved(kind: str = "1.3") -> dict[str, Any]:
    """What is in a file."""
    content: dict[str, Any] = json.loads(json.dumps(in_memory(kind).to_json()))
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_is_drawn_as_it_was(kind: str) -> None:
    recording = in_memory(kind)
    again = from_json(saved(kind))
    assert again.to_json() == recording.to_json()
    assert picture(again) == picture(recording)


def test_the_picture_is_of_the_bytes_and_not_of_what_a_file_says() -> None:
    """A file with a picture of its own in it: the bytes are read, and the picture is not."""
    content = saved() | {"picture": {"client": "<script>"}, "steps": ["none"]}
    content["messages"][0]["name"] = "<script>alert(1)</script>"
    content["messages"][0]["fields"] = [["<b>", "</b>"]]
    assert picture(from_json(content)) == picture(in_memory("1.3"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "another"),
        ("client", 5),
        ("client", "x" * 301),
        ("server", None),
        ("port", 70000),
        ("port", True),
        ("is_finished", "yes"),
        ("ending", "well"),
        ("recorded_at", "yesterday"),
        ("messages", {}),
        ("messages", [1]),
        ("messages", [{}] * 201),
        ("flights", [{"direction": "up", "microseconds": 1, "hex": ""}]),
        ("flights", [{"direction": "sent", "microseconds": -1, "hex": ""}]),
        ("flights", [{"direction": "sent", "microseconds": 1, "hex": "0g"}]),
        ("secrets", {"EXPORTER_SECRET": "00" * 32}),
        ("secrets", {"CLIENT_RANDOM": "00" * 31}),
        ("secrets", []),
    ],
)
def test_what_is_no_recording_is_refused(field: str, value: object) -> None:
    """Its twin is every other test: the same file, and this one field."""
    with pytest.raises(RecordingError):
        from_json(saved() | {field: value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_read_or_refused(content: object) -> None:
    with pytest.raises(RecordingError):
        from_json(content)


@given(st.sampled_from(sorted(saved())), json_values)
def test_any_field_can_be_anything(field: str, value: object) -> None:
    try:
        recording = from_json(saved() | {"format": FORMAT} | {field: value})
    except RecordingError:
        return
    picture(recording)


@given(st.integers(0, 14), st.binary(max_size=80), st.sampled_from([20, 21, 22, 23]))
@example(0, b"\x0b", 22)  # a Certificate that ends at once
def test_any_message_can_be_drawn(number: int, body: bytes, content_type: int) -> None:
    content = saved()
    message = content["messages"][number % len(content["messages"])]
    message |= {"hex": body.hex(), "content_type": content_type}
    picture(from_json(content))


def test_no_private_key_is_in_a_file() -> None:
    """What is in it are the secrets of one conversation."""
    content = json.dumps(saved())
    [*_, key] = console().key_pem.split(b"-----BEGIN PRIVATE KEY-----")
    assert "PRIVATE" not in content
    assert key.decode().strip()[:40] not in content
    assert set(saved()["secrets"]) == {
        f"{side}_{kind}"
        for side in ("CLIENT", "SERVER")
        for kind in ("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0")
    }


def test_encrypted_is_what_the_records_say() -> None:
    """In TLS 1.3 all but the hellos, in TLS 1.2 from ChangeCipherSpec on."""
    clear = {"ClientHello", "ServerHello", "ChangeCipherSpec"}
    for message in picture(in_memory("1.3"))["messages"]:
        assert message["is_encrypted"] is (message["name"] not in clear)
    sealed = {"Finished", "Data"}
    for message in picture(in_memory("1.2"))["messages"]:
        assert message["is_encrypted"] is (message["name"] in sealed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_has_its_two_sentences(kind: str) -> None:
    drawn = picture(in_memory(kind))
    nothing = meaning_of("no such message", "client")
    for message in drawn["messages"]:
        assert message["proves"] != nothing.proves, message["name"]
        assert message["proves"].endswith(".")
        assert message["without"].endswith(".")


def test_a_full_handshake_has_certificates_and_a_resumed_one_none() -> None:
    full, resumed = (picture(in_memory(kind)) for kind in ("1.3", "1.3 resumed"))
    assert [card["sender"] for card in full["certificates"]] == ["server", "client", "client"]
    leaf, issuing = full["certificates"][1:]
    assert leaf["names"] == [str(console().spiffe_id)]
    assert leaf["usage"] == ["clientAuth"]
    assert leaf["issuer_key_id"] == issuing["key_id"]
    assert resumed["certificates"] == []
    assert resumed["is_resumed"]
    assert not full["is_resumed"]
    assert [step["outcome"][:8] for step in resumed["steps"][1:5]] == ["left out"] * 4


def test_the_entries_are_those_of_the_page() -> None:
    text = (ROOT / "docs/what-can-go-wrong.md").read_text("utf-8").replace("`", "")
    for number, title in ENTRIES.items():
        assert f"\n### {number}. {title}\n" in text
