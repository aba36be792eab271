"""Running a table of checks: what rests on a failure is skipped, and says on which."""

import io
import json

from doctor.checks import Check, Examination, Result, failed, note, ok
from doctor.report import as_dict, print_examination, print_json

TABLE: tuple[Check[int], ...] = (
    Check("first", "It is even", lambda n: ok("even") if n % 2 == 0 else failed("odd", "add one")),
    Check("second", "It is four", lambda n: ok("four") if n == 4 else note("other"), ("first",)),
    Check("third", "It is anything", lambda _: ok("anything"), ("second",)),
    Check("fourth", "It rests on nothing", lambda _: ok("so it is looked at")),
)


def run(number: int, prefix: str = "") -> Examination:
    examination = Examination()
    examination.run("Numbers", TABLE, number, prefix)
    return examination


def outcomes(examination: Examination) -> dict[str, str]:
    return {each["id"]: each["result"] for each in as_dict(examination)["checks"]}


def test_a_note_stops_nothing() -> None:
    assert outcomes(run(2)) == {"first": "ok", "second": "note", "third": "ok", "fourth": "ok"}
    assert as_dict(run(2))["failed"] == []


def test_what_rests_on_a_failure_is_skipped_down_the_line() -> None:
    examination = run(3)
    assert outcomes(examination) == {
        "first": "failed",
        "second": "skipped",
        "third": "skipped",
        "fourth": "ok",
    }
    assert as_dict(examination)["failed"] == ["first"]
    details = [each["detail"] for each in as_dict(examination)["checks"]]
    assert details[1] == details[2] == "because first failed"


def test_a_prefix_goes_before_ids_and_needs() -> None:
    examination = run(3, "own.")
    assert examination.result_of("own.second") is Result.SKIPPED
    assert examination.result_of("second") is None


def test_a_need_that_was_not_looked_at_is_no_obstacle() -> None:
    examination = Examination()
    examination.run("", [Check("lone", "It is there", lambda _: ok("yes"), ("elsewhere",))], 0)
    assert examination.result_of("lone") is Result.OK


def test_prints_ticks_and_crosses_without_colours_to_a_file() -> None:
    out = io.StringIO()
    print_examination(run(3), out)
    text = out.getvalue()
    assert "✗ It is even (first)" in text
    assert "Fix: add one" in text
    assert "It is four" not in text
    assert "Checks skipped because first failed: 2.\n" in text
    assert "1 failed; fix first first." in text
    assert "\033" not in text


def test_prints_colours_to_a_terminal() -> None:
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    print_examination(run(3), out)
    assert "\033[31m✗\033[0m It is even" in out.getvalue()


def test_prints_ascii_where_there_is_nothing_else() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_examination(run(3), out)
    out.seek(0)
    assert "x It is even" in out.read()


def test_a_name_from_the_other_side_does_not_steer_the_terminal() -> None:
    out = io.StringIO()
    examination = Examination()
    examination.run("", [Check("evil", "It is tame", lambda _: ok("\033[2Jgone\r"))], 0)
    print_examination(examination, out)
    assert "\033" not in out.getvalue()
    assert "\r" not in out.getvalue()


def test_a_command_stays_in_one_line_so_that_it_can_be_copied() -> None:
    command = "openssl " + "x509 " * 40
    examination = Examination()
    examination.run("", [Check("long", "It is", lambda _: failed("no", "type", command))], 0)
    out = io.StringIO()
    print_examination(examination, out)
    assert f"$ {command}" in out.getvalue()


def test_json_is_one_object() -> None:
    out = io.StringIO()
    print_json(as_dict(run(3)), out)
    assert json.loads(out.getvalue())["failed"] == ["first"]
