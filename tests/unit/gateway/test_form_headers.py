"""What the headers of a form and of its parts say, compared with what `email` reads in them."""

import base64
import email.header
import email.parser
import email.utils
import re
from email.message import Message
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.videos.form_headers import Part, boundary_of, part_of

DISPOSITION = 'Content-Disposition: form-data; name="file"'
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=30)
# Where a quoted string ends, email gets wrong after an escaped backslash.
QUOTABLE = WORDS.filter(lambda text: not re.search(r'\\("|$)', text))
TOKENS = st.text(st.sampled_from("abcXYZ019-_.!%'"), min_size=1, max_size=12)


def escaped(text: str) -> str:
    """Return a quoted string, as curl wrote it until it learned to write %22."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def percent_encoded(text: str) -> str:
    """Return a quoted string as aiohttp writes it."""
    return f'"{quote(text)}"'


def encoded_word(text: str) -> str:
    """Return a quoted string as .NET writes it."""
    return f'"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="'


@st.composite
def blocks(draw: st.DrawFn) -> str:
    """Return the headers of a part, in one of the ways in which they may be written."""
    name = draw(st.one_of(QUOTABLE.map(escaped), TOKENS))
    parameters = [f"{draw(cased('name'))}={name}"]
    if draw(st.booleans()):
        written = draw(st.sampled_from([escaped, percent_encoded, encoded_word]))
        file_name = draw(st.one_of(QUOTABLE.map(written), TOKENS))
        parameters.append(f"{draw(cased('filename'))}={file_name}")
    if draw(st.booleans()):
        parameters.append(f"filename*=utf-8''{quote(draw(WORDS), safe='')}")
    lines = [
        draw(st.sampled_from(["; ", ";", " ;\t"])).join(
            [f"{draw(cased('Content-Disposition'))}: {draw(cased('form-data'))}", *parameters]
        )
    ]
    if draw(st.booleans()):
        more = draw(st.sampled_from(["", "; charset=utf-8", ';codecs="a;b"']))
        lines.append(f"{draw(cased('Content-Type'))}:{draw(cased('video/mp4'))}{more}")
    lines += draw(st.sampled_from([[], ["Content-Transfer-Encoding: binary"], ["X-More: a: b"]]))
    return "\r\n".join(draw(st.permutations(lines)))


def cased(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from([text, text.lower(), text.upper()])


def part_by_email(block: str) -> Part:
    """Return what the standard library reads in well-formed headers."""
    message = email.parser.HeaderParser().parsestr(block)
    name = message.get_param("name", header="Content-Disposition")
    assert isinstance(name, str)
    content_type = message.get_content_type() if "Content-Type" in message else None
    return Part(name, file_name_by_email(message), content_type)


def file_name_by_email(message: Message) -> str | None:
    parameters = message.get_params([], header="Content-Disposition")
    names = [value for key, value in parameters if key.lower() == "filename"]
    for name in names:
        if isinstance(name, tuple):
            return email.utils.collapse_rfc2231_value(name)
    if not names:
        return None
    if names[0].startswith("=?") and names[0].endswith("?="):
        return str(email.header.make_header(email.header.decode_header(names[0])))
    try:
        return unquote(names[0], errors="strict")
    except UnicodeDecodeError:
        return str(names[0])


@given(blocks())
def test_well_formed_headers_say_what_email_reads_in_them(block: str) -> None:
    assert part_of(block.encode()) == part_by_email(block)


@given(
    st.one_of(st.binary(max_size=200), blocks().map(str.encode)),
    st.binary(max_size=3),
    st.integers(),
)
def test_garbage_is_refused_and_nothing_worse_happens(
    block: bytes, garbage: bytes, at: int
) -> None:
    cut = at % (len(block) + 1)
    try:
        found = part_of(block[:cut] + garbage + block[cut:])
    except InvalidRequest as error:
        assert str(error)  # noqa: PT017  whether it is raised depends on the garbage
    else:
        assert isinstance(found.name, str)


@pytest.mark.parametrize(
    ("disposition", "file_name"),
    [
        ('; filename="clip.mp4"', "clip.mp4"),
        ("; filename=clip.mp4", "clip.mp4"),
        ('; filename="a;b.mp4"', "a;b.mp4"),
        (r'; filename="a\"b.mp4"', 'a"b.mp4'),
        (r'; filename="a\\"', "a\\"),
        (r'; filename="C:\Users\me\clip.mp4"', r"C:\Users\me\clip.mp4"),
        ('; filename="Käse 🎬.mp4"', "Käse 🎬.mp4"),
        # aiohttp, a quotation mark in a browser, and what only looks encoded
        ('; filename="%C3%9Cbung%20am%20See%20%282%29.mp4"', "Übung am See (2).mp4"),
        ('; filename="a%22b.mp4"', 'a"b.mp4'),
        ('; filename="50%ff.mp4"', "50%ff.mp4"),
        ('; filename="100%.mp4"', "100%.mp4"),
        # .NET sends both forms; RFC 8187 alone; RFC 2047 alone, and broken
        (
            """; filename="=?utf-8?B?w5xidW5nLm1wNA==?="; filename*=utf-8''%C3%9Cbung.mp4""",
            "Übung.mp4",
        ),
        ("; filename*=UTF-8''%C3%9Cbung.mp4", "Übung.mp4"),
        ('; filename="=?utf-8?B?w5xidW5nLm1wNA==?="', "Übung.mp4"),
        ('; filename="=?nonsense?B?w5xidW5nLm1wNA==?="', "=?nonsense?B?w5xidW5nLm1wNA==?="),
        ("", None),
    ],
)
def test_the_file_name(disposition: str, file_name: str | None) -> None:
    block = f'Content-Disposition: form-data; name="file"{disposition}'
    assert part_of(block.encode()) == Part("file", file_name)


@pytest.mark.parametrize(
    ("block", "refusal"),
    [
        ("", "has no `Content-Disposition"),
        ("Content-Type: video/mp4", "has no `Content-Disposition"),
        ('Content-Disposition: attachment; name="file"', "has no `Content-Disposition"),
        ('Content-Disposition: form-data; filename="a.mp4"', "has no `Content-Disposition"),
        ("Content-Disposition: form-data; name*=utf-8''file", "has no `Content-Disposition"),
        (f"{DISPOSITION}\r\nContent-Transfer-Encoding: base64", "send it as it is"),
        # What two readers may read differently
        (f'{DISPOSITION}; name="title"', "two parameters 'name'"),
        (f'{DISPOSITION}; filename="a.mp4"; FileName="b.mp4"', "two parameters 'filename'"),
        (f"{DISPOSITION}\r\n{DISPOSITION}", "two headers 'content-disposition'"),
        (f"{DISPOSITION}\r\nContent-Type: a/b\r\ncontent-type: c/d", "two headers 'content-type'"),
        (f'{DISPOSITION};\r\n filename="a.mp4"', "is no header"),
        (f"{DISPOSITION}\nContent-Type: video/mp4", "is no header"),
        (f"{DISPOSITION}\rContent-Type: video/mp4", "is no header"),
        (f"{DISPOSITION}\r\nContent-Type : video/mp4", "is no header"),
        (f"{DISPOSITION}\r\nno colon", "is no header"),
        (f"{DISPOSITION}\r\n", "is no header"),
        (f'{DISPOSITION}; filename="a\0.mp4"', "is no header"),
        (f'{DISPOSITION}; filename="a.mp4', "malformed parameters"),
        (f'{DISPOSITION}; filename="a".mp4', "malformed parameters"),
        (f"{DISPOSITION}; filename=a b.mp4", "malformed parameters"),
        (f"{DISPOSITION}; filename = a.mp4", "malformed parameters"),
        (f"{DISPOSITION}; filename", "malformed parameters"),
        (f"{DISPOSITION}; filename*=utf-8''%ff", "not UTF-8"),
        (f"{DISPOSITION}; filename*=utf-7''a", "not UTF-8"),
        (f"{DISPOSITION}; filename*=a", "not UTF-8"),
    ],
)
def test_what_is_malformed_or_ambiguous_is_refused(block: str, refusal: str) -> None:
    assert part_of(DISPOSITION.encode()) == Part("file")  # the twin
    with pytest.raises(InvalidRequest, match=refusal):
        part_of(block.encode())


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        part_of(DISPOSITION.encode().replace(b"file", b"\xff"))


def test_the_boundary_of_a_form() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == "abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == "a b"
    assert boundary_of("multipart/form-data; boundary=----=_Part/1:2;") == "----=_Part/1:2"


@pytest.mark.parametrize(
    "content_type",
    ["", "video/mp4", "multipart/mixed; boundary=abc", "??", "multipart/form-data; boundary=ä"],
)
def test_another_media_type_is_no_form(content_type: str) -> None:
    assert boundary_of(content_type) is None


@pytest.mark.parametrize(
    "boundary",
    ["", "; boundary=", "; boundary=" + "x" * 71, "; boundary=a; boundary=b", '; boundary="a'],
)
def test_a_form_without_a_usable_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(InvalidRequest):
        boundary_of("multipart/form-data" + boundary)


@given(st.text(st.sampled_from("abcXYZ019'()+_,-./:=? "), min_size=1, max_size=70))
def test_the_boundary_is_the_one_that_email_reads(boundary: str) -> None:
    content_type = f'multipart/form-data; charset=utf-8; boundary="{boundary}"'
    message = Message()
    message["Content-Type"] = content_type
    if boundary.endswith(" "):
        with pytest.raises(InvalidRequest):
            boundary_of(content_type)
    else:
        assert boundary_of(content_type) == message.get_boundary()


@given(st.text(st.characters(exclude_characters="\r\n"), max_size=100))
def test_whatever_the_content_type_says_there_is_an_answer(text: str) -> None:
    try:
        boundary = boundary_of("multipart/form-data; " + text)
    except InvalidRequest:
        return
    if boundary is not None:
        assert 1 <= len(boundary.encode("ascii")) <= 70
