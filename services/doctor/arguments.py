"""The command line's grammar."""

import argparse
import ssl
from pathlib import Path
from typing import Final

from mtls.certificates import Role

from doctor.calls import Protocol

_DESCRIPTION: Final = """Finds out why mutual TLS does not work, from the client's side:

  python -m doctor check FOLDER                          look at certificate files
  python -m doctor connect HOST:PORT --identity FOLDER   go through a live endpoint
  python -m doctor handshake HOST:PORT ...               show a handshake, message by message

It works with any endpoint and any CA, and sends nothing to a server that it cannot verify. The
password of a key is asked for, or read from a file or an environment variable.
"""
_EXIT_CODES: Final = """exit codes:
  0  nothing is wrong (there may be notes)
  1  a check failed; handshake: it was not completed, or the server refused us after it
  2  the command line is wrong
  3  the server cannot be reached (name, port, network): nothing was learned about certificates
"""
TLS_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_MAX_SECONDS: Final = 60.0


def parser() -> argparse.ArgumentParser:
    """Return the parser: one subcommand each for files, an endpoint and a handshake."""
    top = argparse.ArgumentParser(
        prog="python -m doctor",
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
        help="what the certificate has to be good for; default: what it says",
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
            command.add_argument("--tls", choices=TLS_VERSIONS, help="speak this version only")
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
        help="PEM: whom to trust; default: the folder's or PKCS #12's own CA, for a server the "
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
