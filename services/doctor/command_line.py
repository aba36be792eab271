"""What the doctor does when it is started: read the files, examine, report."""

import argparse
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from mtls.certificates import Role

from doctor import password, report, timeline
from doctor.arguments import TLS_VERSIONS, parser
from doctor.checks import Examination, Result
from doctor.errors import UsageError
from doctor.examinations import Request, check_endpoint, check_files, shake_hands
from doctor.files import Files, from_files, from_folder, from_pkcs12, load_roots
from doctor.target import Target, parse_target

OK, FAILED, USAGE, NOT_REACHED = range(4)
_ON_THE_WAY: Final = ("net.name", "net.port")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names may have letters that a terminal lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _COMMANDS[options.command](options)
    except UsageError as error:
        print(error, file=sys.stderr)
        return USAGE


def _check(options: argparse.Namespace) -> int:
    if (files := _files(options)) is None:
        raise UsageError("Say what to look at: a folder, --cert FILE or --pkcs12 FILE.")
    request = Request(
        roles=frozenset(map(Role, options.role)),
        name=options.name,
        is_strict=not options.not_strict,
    )
    return _report(check_files(files, request), options)


def _connect(options: argparse.Namespace) -> int:
    files = _files(options)
    examination = check_endpoint(_target(options), files, _live_request(options, files))
    return _report(examination, options)


def _handshake(options: argparse.Namespace) -> int:
    files = _files(options)
    seen = shake_hands(_target(options), files, _live_request(options, files))
    if seen.not_reached:
        print(f"{seen.target} cannot be reached: {seen.not_reached}.", file=sys.stderr)
        return NOT_REACHED
    if options.json:
        report.print_json(timeline.as_dict(seen), sys.stdout)
    else:
        timeline.print_timeline(seen, sys.stdout)
    return OK if timeline.is_complete(seen) else FAILED


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "check": _check,
    "connect": _connect,
    "handshake": _handshake,
}


def _report(examination: Examination, options: argparse.Namespace) -> int:
    is_unreached = any(examination.result_of(each) is Result.FAILED for each in _ON_THE_WAY)
    code = NOT_REACHED if is_unreached else FAILED if examination.failures() else OK
    if options.json:
        report.print_json({"exit_code": code, **report.as_dict(examination)}, sys.stdout)
    else:
        report.print_examination(examination, sys.stdout)
    return code


def _target(options: argparse.Namespace) -> Target:
    try:
        return parse_target(options.target, options.name)
    except ValueError as error:
        raise UsageError(f"{options.target!r} cannot be dialled: {error}.") from error


def _live_request(options: argparse.Namespace, files: Files | None) -> Request:
    return Request(
        roots=load_roots(options.ca) if options.ca and files is None else (),
        protocol=options.protocol,
        path=options.path,
        timeout=options.timeout,
        is_strict=not options.not_strict,
        tls=TLS_VERSIONS.get(getattr(options, "tls", None) or ""),
    )


def _files(options: argparse.Namespace) -> Files | None:
    given = [name for name in _READERS if getattr(options, name)]
    if len(given) > 1:
        raise UsageError("Give one certificate: a folder, --cert or --pkcs12.")
    if options.key and not options.cert:
        raise UsageError("--key goes with --cert.")
    if not given:
        return None
    path: Path = getattr(options, given[0])
    files = _READERS[given[0]](path, options)
    return replace(files, password=_password(options, files))


_READERS: Final[Mapping[str, Callable[[Path, argparse.Namespace], Files]]] = {
    "identity": lambda path, options: from_folder(path, options.ca),
    "cert": lambda path, options: from_files(path, options.key, options.ca),
    "pkcs12": lambda path, options: from_pkcs12(path, options.ca),
}


def _password(options: argparse.Namespace, files: Files) -> bytes | None:
    if options.password_file:
        return password.from_file(options.password_file)
    if options.password_env:
        return password.from_environment(options.password_env)
    return password.ask(files.key.path) if files.needs_password else None
