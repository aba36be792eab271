import pytest

from benchmarks import needs


def test_what_is_missing_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said = needs.missing(["openssl", "node", "nginx", "node"])
    assert len(said) == 3
    assert any("apt install nginx-light" in each for each in said)
    assert any("Node 20 or newer (there is none on the PATH)" in each for each in said)


def test_an_old_node_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "version_of", lambda *_command: "v18.20.4")
    (said,) = needs.missing(["node"])
    assert "this machine has v18.20.4" in said
