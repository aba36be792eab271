"""What an upload must look like, from its headers to its last byte."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from gateway.errors import InvalidRequest
from gateway.videos.errors import TooLarge, UnsupportedMedia
from gateway.videos.form_headers import Part, boundary_of
from gateway.videos.multipart import FormReader
from videoqueue_api.v1.video_queue_pb2 import UploadMetadata
from videoqueue_client.sending import Chunk

FILE: Final = "file"
FIELDS: Final = ("title", "description")
MAX_FIELD_BYTES: Final = 16 * 1024

# Room for the fields, and for the boundaries and headers around them and the file.
_MAX_FORM_OVERHEAD_BYTES: Final = 64 * 1024
# What a browser sends for a video, and curl for every file whose suffix it does not know.
# A browser takes every type that ends with +xml for a page, with scripts (WHATWG MIME Sniffing).
_CONTENT_TYPE: Final = re.compile(
    r"video/(?!.*\+xml$)[a-z0-9][a-z0-9!#$&^_.+-]{0,126}|application/octet-stream"
)
_MAX_TITLE_LENGTH: Final = 200  # the queue's own limit, unless it is told another
# With RFC 9651's quotes (section 3.3.3) or without; of characters that need no escape in them.
_IDEMPOTENCY_KEY: Final = re.compile(r'(?P<quote>"?)(?P<key>[0-9A-Za-z._~:@/+=-]{1,255})(?P=quote)')
_DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"


def idempotency_key_of(values: Sequence[str]) -> str:
    """Return the key in the values of Idempotency-Key, "" if there is none.

    draft-ietf-httpapi-idempotency-key-header-07 wants it in quotes, and many leave them out: both
    are the same key here. Raises `InvalidRequest`.
    """
    match values:
        case []:
            return ""
        case [value] if key := _IDEMPOTENCY_KEY.fullmatch(value):
            return key["key"]
        case _:
            raise InvalidRequest(
                "Send one Idempotency-Key of 1 to 255 letters, digits and . _ ~ : @ / + = -, "
                'in quotes: a UUID is a good one, "8e03978e-40d5-43e8-bc93-6894a57f9324".'
            )


def check_headers(headers: Mapping[str, str], *, max_upload_bytes: int) -> str:
    """Return the boundary of the form. Raises for what need not be read to be refused."""
    boundary = boundary_of(headers.get("Content-Type", ""))
    # What the browser sees as the file would be its compressed form (RFC 9110, section 15.5.16).
    if boundary is None or headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia
    length = int(headers.get("Content-Length", 0))  # the HTTP parser lets only digits through
    if length > max_upload_bytes + _MAX_FORM_OVERHEAD_BYTES:
        raise _too_large(max_upload_bytes)
    return boundary


async def read_upload(
    form: FormReader, *, max_upload_bytes: int
) -> tuple[UploadMetadata, AsyncIterator[Chunk]]:
    """Read the fields; return them and the chunks of the file, which are read one at a time.

    A form that lacks its end raises while the chunks are read: so one of them says that it is the
    last only if the form was whole.
    """
    fields: dict[str, str] = {}
    while (part := await form.next_part()) and part.name != FILE:
        if part.name not in FIELDS:
            raise InvalidRequest(
                f"The form has a part {part.name[:100]!r}: send title, description and file only."
            )
        if part.name in fields:
            raise InvalidRequest(f"The form has two parts {part.name!r}: send one.")
        fields[part.name] = await _read_field(form, part)
    if part is None:
        raise InvalidRequest("The form has no part `file`: send it last, `curl -F file=@clip.mp4`.")
    content_type = _DEFAULT_CONTENT_TYPE if part.content_type is None else part.content_type
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise UnsupportedMedia(
            f"The part `file` is {content_type[:100]}, not a video: "
            "if it is one, say so with `curl -F 'file=@clip.mp4;type=video/mp4'`."
        )
    title = fields.get("title") or title_from(part.file_name)
    if not title:
        raise InvalidRequest(
            "The video has no title: send `title` before the file, or give the file a name."
        )
    metadata = UploadMetadata(
        title=title,
        description=fields.get("description", ""),
        content_type=content_type,
    )
    return metadata, _read_file(form, max_upload_bytes)


async def _read_field(form: FormReader, part: Part) -> str:
    value = bytearray()
    while chunk := await form.read_chunk():
        value += chunk
        if len(value) > MAX_FIELD_BYTES:
            raise InvalidRequest(f"{part.name} is longer than {MAX_FIELD_BYTES} bytes: shorten it.")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{part.name} is not UTF-8: send it in that encoding.") from error


def title_from(file_name: str | None) -> str:
    """Return the file name without folder and suffix, as a title that is always accepted.

    Some clients send a Windows path. What has no width or no place in a line, such as a line break
    or a character that changes the direction of writing, becomes a space. "" if nothing is left.
    """
    stem = PurePosixPath((file_name or "").replace("\\", "/")).stem
    visible = "".join(each if each.isprintable() else " " for each in stem)
    return " ".join(visible.split())[:_MAX_TITLE_LENGTH].rstrip()


async def _read_file(form: FormReader, max_upload_bytes: int) -> AsyncIterator[Chunk]:
    size_bytes = 0
    while not form.is_at_end_of_part:
        data = await form.read_chunk()
        size_bytes += len(data)
        if size_bytes > max_upload_bytes:
            raise _too_large(max_upload_bytes)
        if form.is_at_end_of_part and (extra := await form.next_part()):
            raise InvalidRequest(
                f"The part {extra.name[:100]!r} comes after the file: put `file` last in the form."
            )
        yield Chunk(data, is_last=form.is_at_end_of_part)


def _too_large(max_upload_bytes: int) -> TooLarge:
    return TooLarge(f"A video may have {max_upload_bytes} bytes at most: send a smaller one.")
