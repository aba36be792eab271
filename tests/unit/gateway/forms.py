"""Forms as a client would write them, fed to the reader in pieces."""

from collections.abc import Awaitable, Callable, Iterable

from gateway.videos.multipart import FormReader

BOUNDARY = "------------------------d74496d66958873e"  # as curl makes them


def part(name: str, content: bytes, *more: str, disposition: str = "") -> bytes:
    """Return one part; `more` are further header lines."""
    lines = [f'Content-Disposition: form-data; name="{name}"{disposition}', *more]
    return b"\r\n".join([*(line.encode() for line in lines), b"", content])


def file_part(content: bytes, name: str = "clip.mp4", content_type: str = "video/mp4") -> bytes:
    """Return the part with the file."""
    return part(
        "file", content, f"Content-Type: {content_type}", disposition=f'; filename="{name}"'
    )


def form(*parts: bytes) -> bytes:
    """Return the body of a whole form."""
    delimiter = b"--" + BOUNDARY.encode()
    return b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def reader_of(pieces: Iterable[bytes]) -> FormReader:
    """Return a reader to which the body comes in these pieces."""
    return FormReader(reading(pieces), BOUNDARY)


def reading(pieces: Iterable[bytes]) -> Callable[[], Awaitable[bytes]]:
    """Return a function that reads one piece after the other, and then the end."""
    rest = iter([piece for piece in pieces if piece])

    async def read() -> bytes:
        return next(rest, b"")

    return read


async def content_of(reader: FormReader) -> bytes:
    """Return the rest of the part that is being read."""
    content = bytearray()
    while chunk := await reader.read_chunk():
        content += chunk
    return bytes(content)
