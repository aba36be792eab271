"""The command line: read the files, examine, report; its grammar; and a key's password."""

import argparse
import getpass
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from mtls.certificates import Role

from doctor import report, timeline
from doctor.calls import Protocol
from doctor.checks import Examination, Result
from doctor.connection import Attempt, Target, parse_target
from doctor.examinations import Request, check_endpoint, check_files, shake_hands
from doctor.files import Files, UsageError, from_files, from_folder, from_pkcs12, load_roots
from doctor.recorder import VERSIONS, recording_of

OK, FAILED, USAGE, NOT_REACHED = range(4)
_NETWORK: Final = ("net.name", "net.port")


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
        protocol=Protocol.GRPC if options.grpc else Protocol.ANY,
        is_strict=not options.not_strict,
    )
    return _report(check_files(files, request), options)


def _connect(options: argparse.Namespace) -> int:
    files = _files_with_key(options)
    examination = check_endpoint(_target(options), files, _live_request(options, files))
    return _report(examination, options)


def _handshake(options: argparse.Namespace) -> int:
    files = _files_with_key(options)
    seen = shake_hands(
        _target(options), files, _live_request(options, files), with_secrets=bool(options.save)
    )
    if seen.not_reached:
        print(f"{seen.target} cannot be reached: {seen.not_reached}.", file=sys.stderr)
        return NOT_REACHED
    if options.save:
        _save(seen, options.save)
    if options.json:
        report.print_json(timeline.as_dict(seen), sys.stdout)
    else:
        timeline.print_timeline(seen, sys.stdout)
    return OK if timeline.is_complete(seen) else FAILED


def _save(seen: Attempt, path: Path) -> None:
    """Write a handshake for the console, or for scripts/illustrated_handshake. Raises `UsageError`.

    The file holds the secrets of this one conversation, so it is for its owner alone.
    """
    text = json.dumps(recording_of(seen).to_json(), indent=1)
    try:
        path.unlink(missing_ok=True)  # its mode may be another
        path.touch(0o600)
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "check": _check,
    "connect": _connect,
    "handshake": _handshake,
}


def _report(examination: Examination, options: argparse.Namespace) -> int:
    is_unreached = any(examination.result_of(each) is Result.FAILED for each in _NETWORK)
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
        tls=VERSIONS.get(getattr(options, "tls", None) or ""),
    )


def _files_with_key(options: argparse.Namespace) -> Files | None:
    """Read what is to be shown to a server, which takes a key."""
    files = _files(options)
    if files and files.is_without_key:
        raise UsageError(f"{files.certificate.path} holds no private key: give it with --key.")
    return files


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
        return _password_from_file(options.password_file)
    if options.password_env:
        return _password_from_environment(options.password_env)
    return _ask_password(files.key.path) if files.needs_password else None


_DESCRIPTION: Final = """Finds out why mutual TLS does not work, from the client's side:

  doctor check FOLDER                          look at certificate files
  doctor connect HOST:PORT --identity FOLDER   go through a live endpoint
  doctor handshake HOST:PORT ...               show a handshake, message by message

It works with any endpoint and any CA, and sends nothing to a server that it cannot verify. The
password of a key is asked for, or read from a file or an environment variable.
"""
_EXIT_CODES: Final = """exit codes:
  0  nothing is wrong (there may be notes)
  1  a check failed; handshake: it was not completed, or the server refused us after it
  2  the command line is wrong
  3  the server cannot be reached (name, port, network): nothing was learned about certificates
"""
_MAX_SECONDS: Final = 60.0


def parser() -> argparse.ArgumentParser:
    """Return the parser, with a subcommand each for files, an endpoint and a handshake."""
    top = argparse.ArgumentParser(
        prog="doctor",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = _add(commands, "check", "look at certificate files")
    check.add_argument("identity", nargs="?", type=Path, metavar="FOLDER")
    check.add_argument("--name", default="", help="the host name or address that clients dial")
    check.add_argument(
        "--role",
        action="append",
        default=[],
        choices=[role.value for role in Role],
        help="what the certificate is used for; default: what it says",
    )
    check.add_argument(
        "--grpc", action="store_true", help="it is for gRPC, which refuses some kinds of keys"
    )
    for command in (
        _add(commands, "connect", "go through a live endpoint, step by step"),
        _add(commands, "handshake", "show a handshake, message by message"),
    ):
        command.add_argument("target", metavar="HOST:PORT")
        command.add_argument("--identity", type=Path, metavar="FOLDER")
        command.add_argument(
            "--name",
            default="",
            help="the name that the server's certificate must have, if not HOST",
        )
        _add_questions(command)
        if command.prog.endswith("handshake"):
            command.add_argument("--tls", choices=VERSIONS, help="speak this version only")
            command.add_argument(
                "--save",
                type=Path,
                metavar="FILE",
                help="write the handshake and its secrets, for the console to open",
            )
    for command in commands.choices.values():
        _add_files(command)
    return top


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_questions(command: argparse.ArgumentParser) -> None:
    protocol = command.add_mutually_exclusive_group()
    for each, what in (
        (Protocol.HTTP, "call it over HTTP/1.1: GET --path"),
        (Protocol.GRPC, "call it over gRPC: grpc.health.v1.Health/Check"),
    ):
        protocol.add_argument(
            f"--{each}", action="store_const", const=each, dest="protocol", help=what
        )
    command.set_defaults(protocol=Protocol.ANY)
    command.add_argument("--path", default="/", type=_path, help="what to GET; default: /")
    command.add_argument(
        "--timeout",
        default=5.0,
        type=_seconds,
        metavar="SECONDS",
        help=f"for each connection, up to {_MAX_SECONDS:g}; default: 5",
    )


def _add_files(command: argparse.ArgumentParser) -> None:
    files = command.add_argument_group("certificate, key and CA")
    files.add_argument("--cert", type=Path, metavar="FILE", help="PEM: the leaf, then its issuers")
    files.add_argument("--key", type=Path, metavar="FILE", help="PEM; default: in the --cert file")
    files.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="PEM: the CAs to trust; default: the folder's or PKCS #12's own CA, for a server the "
        "system's CAs",
    )
    files.add_argument("--pkcs12", type=Path, metavar="FILE", help="a .p12 or .pfx file")
    password = files.add_mutually_exclusive_group()
    password.add_argument("--password-file", type=Path, metavar="FILE", help="its first line")
    password.add_argument("--password-env", metavar="NAME", help="an environment variable")
    command.add_argument(
        "--not-strict",
        action="store_true",
        help="take RFC 5280 as gRPC, curl and Python before 3.13 do, not to the letter",
    )
    command.add_argument("--json", action="store_true", help="one JSON object, for programs")


def _path(text: str) -> str:
    if not (text.startswith("/") and text.isascii() and text.isprintable() and " " not in text):
        raise argparse.ArgumentTypeError("a path begins with / and is percent-encoded")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"a number of seconds, up to {_MAX_SECONDS:g}")
    return seconds


# A password never comes from the command line, which other users of the machine can read.
_MAX_PASSWORD_BYTES: Final = 4096


def _password_from_file(path: Path) -> bytes:
    """Return the first line of a file. Raises `UsageError`."""
    try:
        with path.open("rb") as file:
            return file.readline(_MAX_PASSWORD_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"The password file {path} cannot be read: {error.strerror}.") from error


def _password_from_environment(name: str) -> bytes:
    """Return the content of an environment variable. Raises `UsageError`."""
    if (value := os.environ.get(name)) is None:
        raise UsageError(f"The environment variable {name} is not set: it should hold a password.")
    return value.encode()


def _ask_password(path: Path) -> bytes | None:
    """Ask at the terminal; None if there is no terminal."""
    if not sys.stdin.isatty():
        return None
    return getpass.getpass(f"Password of {path}: ").encode()
