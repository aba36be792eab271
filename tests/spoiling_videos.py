"""Edits the bytes of a video, as bad luck does, or malice."""

import random
import struct
from typing import Final

_LAYOUT: Final = b"chan"  # the box that says what the channels of a sound are, in MOV
_AROUND_LAYOUT: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_DURATION: Final = b"\x44\x89\x88"  # the element of 8 bytes that holds it in MKV (RFC 9559)
_CLUSTER: Final = b"\x1f\x43\xb6\x75"  # the element that holds the pictures in MKV (RFC 9559)
_FRAGMENT: Final = b"moof"  # the box before pictures in a fragmented MP4 file (ISO/IEC 14496-12)
_VP8_KEYFRAME: Final = b"\x9d\x01\x2a"  # width and height follow (RFC 6386, section 9.1)
_LARGEST_VP8: Final = (16383, 16383)


def half(content: bytes) -> bytes:
    """Return what arrives when the connection breaks."""
    return content[: len(content) // 2]


def headers_only(content: bytes) -> bytes:
    """Return an MKV or fragmented MP4 file without its pictures."""
    before_size_and_type = content.find(_FRAGMENT) - 4
    return content[: before_size_and_type if before_size_and_type > 0 else content.index(_CLUSTER)]


def claiming(content: bytes, hours: float) -> bytes:
    """Return an MKV file that says it is that long."""
    at = content.index(_DURATION) + len(_DURATION)
    return content[:at] + struct.pack(">d", hours * 3_600_000) + content[at + 8 :]


def with_huge_picture(content: bytes) -> bytes:
    """Return a VP8 file whose first picture wants 400 MB; its header does not say so."""
    at = content.index(_VP8_KEYFRAME) + len(_VP8_KEYFRAME)
    return content[:at] + struct.pack("<HH", *_LARGEST_VP8) + content[at + 4 :]


def with_errors(content: bytes) -> bytes:
    """Return a file with wrong bytes among its pictures."""
    chance = random.Random(1)  # noqa: S311  always the same
    damaged = bytearray(content)
    for _ in range(20):
        damaged[chance.randrange(len(content) // 4, len(content) // 2)] ^= 0xFF
    return bytes(damaged)


def with_display_matrix(content: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Return an MP4 file whose first track is shown as the matrix (a, b, c, d) says.

    A pixel at (x, y) is shown at (a x + c y, b x + d y): ISO/IEC 14496-12, section 8.3.2.
    """
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (one << 16 for one in matrix)
    return content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :]


def with_channels(content: bytes, *labels: int) -> bytes:
    """Return a MOV file with a sound whose channels have these labels: QuickTime, `chan`."""
    at = content.index(_LAYOUT) - 4
    (size,) = struct.unpack_from(">I", content, at)
    descriptions = b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels)
    numbers = (24 + len(descriptions), _LAYOUT, 0, 0, 0, len(labels))
    box = struct.pack(">I4s4I", *numbers) + descriptions
    longer = bytearray(content[:at] + box + content[at + size :])
    around = [content.rindex(name, 0, at) - 4 for name in _AROUND_LAYOUT]
    around.append(around[-1] + 16)  # the first entry of stsd
    for place in around:
        (size_around,) = struct.unpack_from(">I", longer, place)
        struct.pack_into(">I", longer, place, size_around + len(box) - size)
    return bytes(longer)
