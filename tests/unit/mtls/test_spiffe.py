from mtls.spiffe import SpiffeId, SpiffeIdError

import pytest
from hypothesis import given
from hypothesis import strategies as st

SEGMENTS = st.text("abcXYZ019._-", min_size=1, max_size=20).filter(lambda s: s not in {".", ".."})


@given(
    trust_domain=st.text("abcxyz019._-", min_size=1, max_size=255),
    segments=st.lists(SEGMENTS, min_size=1, max_size=5),
)
def test_a_valid_id_is_read_and_written_back_unchanged(
    trust_domain: str, segments: list[str]
) -> None:
    text = f"spiffe://{trust_domain}/{'/'.join(segments)}"
    spiffe_id = SpiffeId.parse(text)
    assert str(spiffe_id) == text
    assert (spiffe_id.trust_domain, spiffe_id.path) == (trust_domain, "/".join(segments))


@given(st.text(max_size=300) | st.text(max_size=100).map(lambda tail: "spiffe://a/" + tail))
def test_any_other_text_is_refused_and_nothing_is_normalised(text: str) -> None:
    try:
        spiffe_id = SpiffeId.parse(text)
    except SpiffeIdError:
        return
    assert str(spiffe_id) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "video-demo.test/gateway",
        "SPIFFE://video-demo.test/gateway",
        "https://video-demo.test/gateway",
        "spiffe://",
        "spiffe:///gateway",
        "spiffe://video-demo.test",
        "spiffe://video-demo.test/",
        "spiffe://video-demo.test/gateway/",
        "spiffe://video-demo.test//gateway",
        "spiffe://video-demo.test/./gateway",
        "spiffe://video-demo.test/client/../gateway",
        "spiffe://Video-Demo.test/gateway",
        "spiffe://video-demo.test:8443/gateway",
        "spiffe://user@video-demo.test/gateway",
        "spiffe://video-demo.test/gateway?admin",
        "spiffe://video-demo.test/gateway#admin",
        "spiffe://video-demo.test/gate%77ay",
        "spiffe://video-demo.test/gateway\n",
        "spiffe://video-demo.test/gatewäy",
        "spiffe://" + "a" * 256 + "/gateway",
        "spiffe://a/" + "b" * 2048,
    ],
)
def test_refuses_what_the_specification_forbids(text: str) -> None:
    with pytest.raises(SpiffeIdError):
        SpiffeId.parse(text)
