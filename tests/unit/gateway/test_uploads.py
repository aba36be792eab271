"""What an upload must look like."""

import pytest

from gateway.errors import InvalidRequest, RequestError
from gateway.videos.errors import TooLarge, UnsupportedMedia
from gateway.videos.uploads import MAX_FIELD_BYTES, check_headers, idempotency_key_of, read_upload
from tests.unit.gateway.forms import BOUNDARY, file_part, form, part, reader_of
from videoqueue_api.v1.video_queue_pb2 import UploadMetadata

LIMIT = 1000
FORM = f"multipart/form-data; boundary={BOUNDARY}"
FILE = file_part(b"moving pictures")


async def read(*parts: bytes, closed: bool = True) -> tuple[UploadMetadata, bytes]:
    body = form(*parts) if closed else form(*parts).removesuffix(b"--\r\n")
    metadata, chunks = await read_upload(reader_of([body]), max_upload_bytes=LIMIT)
    return metadata, b"".join([chunk.data async for chunk in chunks])


async def test_the_fields_and_the_file() -> None:
    assert await read(part("title", "Käse".encode()), part("description", b"a\r\nb"), FILE) == (
        UploadMetadata(title="Käse", description="a\r\nb", content_type="video/mp4"),
        b"moving pictures",
    )


@pytest.mark.parametrize(
    ("file_name", "title"),
    [
        ("clip.mp4", "clip"),
        ("clip.final.mp4", "clip.final"),
        ("clip", "clip"),
        ("/home/me/clip.mp4", "clip"),
        (r"C:\Users\me\clip.mp4", "clip"),
        (".mp4", ".mp4"),
        ("%C3%9Cbung%20am%20See%20%282%29.mp4", "Übung am See (2)"),
        ("%2Fhome%2Fme%2Fclip.mp4", "clip"),
        ("x" * 230 + ".mp4", "x" * 200),
        ("two%0Alines.mp4", "two lines"),
        ("gpj\u202e4pm.mp4", "gpj 4pm"),
    ],
)
@pytest.mark.parametrize("fields", [(), (part("title", b""),)])
async def test_without_title_the_file_name_is_the_title(
    fields: tuple[bytes, ...], file_name: str, title: str
) -> None:
    metadata, _ = await read(*fields, file_part(b"x", name=file_name))
    assert metadata.title == title


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ([], InvalidRequest, "no part `file`"),
        ([part("title", b"Holiday")], InvalidRequest, "no part `file`"),
        ([part("tittle", b"Holiday"), FILE], InvalidRequest, "'tittle'"),
        ([part("title", b"1"), part("title", b"2"), FILE], InvalidRequest, "two parts 'title'"),
        ([FILE, part("title", b"Holiday")], InvalidRequest, "put `file` last"),
        ([FILE, FILE], InvalidRequest, "put `file` last"),
        ([part("title", b"\xff"), FILE], InvalidRequest, "not UTF-8"),
        ([part("title", b"x" * (MAX_FIELD_BYTES + 1)), FILE], InvalidRequest, "longer than"),
        ([file_part(b"x", content_type="text/html")], UnsupportedMedia, "text/html"),
        ([file_part(b"x", content_type="video/")], UnsupportedMedia, "is video/,"),
        ([file_part(b"x", content_type="video/svg+xml")], UnsupportedMedia, r"video/svg\+xml"),
        ([file_part(b"x", content_type="VIDEO/X+XML")], UnsupportedMedia, r"video/x\+xml"),
        ([file_part(b"x", name="")], InvalidRequest, "no title"),
        ([file_part(b"x", name="\u200b.mp4")], InvalidRequest, "no title"),
        ([part("file", b"x")], InvalidRequest, "no title"),
        ([file_part(b"x" * (LIMIT + 1))], TooLarge, "1000 bytes at most"),
    ],
)
async def test_another_form_is_refused_and_says_why(
    parts: list[bytes], error: type[RequestError], message: str
) -> None:
    with pytest.raises(error, match=message):
        await read(*parts)


async def test_a_form_without_its_end_raises_after_the_last_byte_of_the_file() -> None:
    with pytest.raises(InvalidRequest, match="breaks off"):
        await read(FILE, closed=False)


async def test_a_file_of_the_largest_size_is_taken() -> None:
    _, content = await read(file_part(b"x" * LIMIT))
    assert len(content) == LIMIT


@pytest.mark.parametrize(
    "content_type", ["video/mp4", "video/x-matroska", "video/xml", "application/octet-stream"]
)
async def test_a_video_keeps_its_content_type(content_type: str) -> None:
    metadata, _ = await read(file_part(b"x", content_type=content_type))
    assert metadata.content_type == content_type


async def test_a_file_without_content_type_is_just_bytes() -> None:
    metadata, _ = await read(part("file", b"x", disposition='; filename="clip.mp4"'))
    assert metadata.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "video/mp4"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": FORM, "Content-Encoding": "gzip"},
    ],
)
def test_what_is_no_plain_form_is_refused_by_its_headers(headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMedia):
        check_headers(headers, max_upload_bytes=LIMIT)


def test_what_is_too_large_is_refused_by_its_headers() -> None:
    headers = {"Content-Type": FORM, "Content-Length": str(LIMIT + 65_537)}
    with pytest.raises(TooLarge, match="1000 bytes at most"):
        check_headers(headers, max_upload_bytes=LIMIT)
    headers["Content-Length"] = str(LIMIT + 65_536)  # of which the fields may be a part
    assert check_headers(headers, max_upload_bytes=LIMIT) == BOUNDARY


@pytest.mark.parametrize(
    "key", ["8e03978e-40d5-43e8-bc93-6894a57f9324", "a", "x" * 255, "a+/=_~.:@"]
)
def test_a_key_is_the_same_with_quotes_and_without(key: str) -> None:
    assert idempotency_key_of([f'"{key}"']) == idempotency_key_of([key]) == key
    assert idempotency_key_of([]) == ""


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ['""'],
        ['"a'],
        ['a"'],
        ["x" * 256],
        ["a b"],
        ["a, b"],
        ['"a";q=1'],
        ["ä"],
        ["a", "a"],
    ],
)
def test_another_key_is_refused_and_says_what_one_is(values: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="1 to 255 letters, digits"):
        idempotency_key_of(values)
