"""The command line of bootstrap_certs.py."""

import argparse
import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509

from pki.authority import LEAF_LIFE
from pki.rollover_state import Stage
from pki.run import LOAD_TIME, UNITS, as_option

_DURATION: Final = re.compile(r"([0-9]{1,7})([smhd])")
_ROOT: Final = Path(__file__).resolve().parents[2]  # of the repository; / in a container

# RFC 5280, section 5.3.1: those that fit a leaf, and need no word of its CA.
_REASONS: Final = {
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser; what is asked for is `command`, or None for a plain run."""
    main = argparse.ArgumentParser(description=description)
    _add_common(main)
    main.set_defaults(
        folder=_ROOT / "certs",
        identities=_ROOT / "identities.toml",
        localhost=False,
        impostors=False,
        leaf_life=LEAF_LIFE,
        load_time=LOAD_TIME,
        key_type="ec",
        service_owner=None,
        now=False,
    )
    main.add_argument(
        "--pkcs12",
        nargs="?",
        const="",
        metavar="IDENTITY",
        help="also write client.p12, to import into a browser (default: of the first person)",
    )
    main.add_argument(
        "--new-issuing-ca",
        action="store_true",
        help="make another issuing CA under the same root, whose key has to be here",
    )
    main.add_argument(
        "--force", action="store_true", help="start afresh: a new root, everything issued again"
    )
    main.add_argument("--show", action="store_true", help="show what there is, change nothing")

    commands = main.add_subparsers(
        dest="command", metavar="COMMAND", title="commands (none: make what is missing or due)"
    )
    renew = commands.add_parser("renew", help="stay, and renew what is due")
    renew.add_argument("--now", action="store_true", help="issue every leaf again, once, and end")
    renew.add_argument(
        "--every",
        type=_duration("1s", "1h"),
        metavar="TIME",
        help="how often to check (default: 60s, or less if leaves live less than 9m)",
    )
    check = commands.add_parser("check", help="say what is not in order, change nothing")
    revoke = commands.add_parser("revoke", help="revoke leaves, and issue others")
    revoke.add_argument(
        "what",
        metavar="IDENTITY|SERIAL",
        help="every leaf of an identity, or one by its serial number as the services log it",
    )
    revoke.add_argument("--reason", choices=_REASONS, help="why, to be published with it")
    rotate = commands.add_parser(
        "rotate-ca", help="replace the CA with no downtime, stage by stage (none: how far it is)"
    )
    rotate.add_argument("stage", nargs="?", choices=[str(stage) for stage in Stage])
    for command in (renew, check, revoke, rotate):
        _add_common(command)
    return main


def parse_duration(text: str) -> dt.timedelta:
    """Read a whole number with its unit. Raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text} is not a number with a unit, such as 90s, 30m, 24h or 30d")
    return int(match[1]) * UNITS[match[2]]


def revocation_reason(name: str | None) -> x509.ReasonFlags | None:
    """Return what `--reason` means."""
    return _REASONS[name] if name else None


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add what may be given before a command or behind it; the defaults are set only once."""

    def add(name: str, **options: object) -> None:
        parser.add_argument(name, default=argparse.SUPPRESS, **options)  # type: ignore[arg-type]

    add("--folder", type=Path, help="where to write (default: certs/)")
    add("--identities", type=Path, metavar="FILE", help="who there is (default: identities.toml)")
    add(
        "--localhost",
        action="store_true",
        help="give every server the name localhost, for services that share this machine",
    )
    add(
        "--impostors",
        action="store_true",
        help="make certificates that must be refused, too: impostors/, for the console alone",
    )
    add(
        "--leaf-life",
        type=_duration("30s", "89d"),
        metavar="TIME",
        help=f"life of what is issued now, 30s to 89d (default: {as_option(LEAF_LIFE)})",
    )
    add(
        "--load-time",
        type=_duration("0s", "30d"),
        metavar="TIME",
        help="how long until every service has loaded what changed (default: 10s); "
        "longer if you copy files to other machines",
    )
    add(
        "--key-type",
        choices=("ec", "rsa"),
        help="ECDSA P-256 (default) or RSA-2048; the CA keeps its own",
    )
    add(
        "--service-owner",
        type=_user_id,
        metavar="UID",
        help="as root: give the services' files to this user, the rest to the folder's owner",
    )


def _duration(shortest: str, longest: str) -> Callable[[str], dt.timedelta]:
    def parse(text: str) -> dt.timedelta:
        try:
            duration = parse_duration(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        if parse_duration(shortest) <= duration <= parse_duration(longest):
            return duration
        raise argparse.ArgumentTypeError(f"{text} is not {shortest} to {longest}")

    return parse


def _user_id(text: str) -> int:
    if text.isdecimal() and int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not the number of a user")
