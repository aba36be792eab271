"""What an entry of the page is, and how it is made to happen."""

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.identity import IdentityError, load_identity
from mtls.rehearsal import rehearse_client

from tests.failures.clients import CLIENTS, Said
from tests.failures.lab import Arrange, Case, Lab, Server, TooLate
from tests.mtls import patient

Event = Mapping[str, object]
ANYONE: Final = tuple(CLIENTS)
SILENCE: Final[Event] = {"event": "says nothing"}
_LIVES: Final = (8, 30, 90)  # seconds


async def ask_all(case: Case) -> Mapping[str, Said]:
    """Let each client try, side by side."""
    tries = (ask(case.client, case.server.http, case.server.grpc) for ask in CLIENTS.values())
    return dict(zip(CLIENTS, await asyncio.gather(*tries), strict=True))


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One thing that can go wrong.

    `refused` are the clients that are turned away or give up; the others are served. `says` is the
    reason that the server must log, for HTTP and for gRPC: a code of mtls.refusals, `call.denied`,
    or "" where it has nothing to say. `doctor` is the check that names the cause; "" where no
    check can see it from the client's side, and then `unseen` says why. `watch` is what is tried,
    if that is more than one call by each client.
    """

    title: str
    did: str
    why: str
    fix: str
    arrange: Arrange
    refused: tuple[str, ...] = ANYONE
    says: tuple[str, str] = ("", "")
    doctor: str = ""
    unseen: str = ""
    examine: Sequence[str] = ("connect", "--http", "--path", "/videos", *patient.PATIENCE)
    watch: Callable[[Case], Coroutine[None, None, Mapping[str, Said]]] = ask_all


@dataclass(frozen=True)
class Seen:
    """What was seen when it happened; `case` has the addresses and folders that stand in it."""

    case: Case
    clients: Mapping[str, Said]
    server: Mapping[str, Event]
    loading: str
    doctor: Mapping[str, str]


def happen(failure: Failure, folder: Path) -> Seen:
    """Let it happen in an empty folder; on a machine that is too busy, again and with more time."""
    for seconds in _LIVES:
        lab = Lab(folder, life=dt.timedelta(seconds=seconds))
        with suppress(TooLate), failure.arrange(lab) as case:
            return look(failure, case)
    raise TooLate(failure.title)


def look(failure: Failure, case: Case) -> Seen:
    """Ask all clients, listen to the server, load the files as a service does, call the doctor."""
    return Seen(
        case,
        clients=asyncio.run(failure.watch(case)),
        server=_listen(failure, case.server),
        loading=_load(case.client.folder),
        doctor=_examine(failure, case),
    )


def _listen(failure: Failure, server: Server) -> Mapping[str, Event]:
    """Return for each endpoint the event with the reason that is expected of it, or `SILENCE`."""
    if not server.log:
        return {}
    heard: dict[str, Event] = {}
    for endpoint, reason in zip(("http", "grpc"), failure.says, strict=True):
        if reason:
            heard[endpoint] = server.log.wait_for(partial(_is, endpoint, reason))
        else:
            assert endpoint not in map(_of, server.log.events())
            heard[endpoint] = SILENCE
    return heard


def _is(endpoint: str, reason: str, event: Event) -> bool:
    return (_of(event), _why(event)) == (endpoint, reason)


def _of(event: Event) -> str:
    if "method" in event:  # of a call
        return "grpc" if str(event["method"]).startswith("/") else "http"
    return str(event.get("endpoint", ""))


def _why(event: Event) -> str:
    return str(event.get("reason", event["event"]))


def _load(folder: Path) -> str:
    """Load the files as a service does, which also rehearses a handshake with them."""
    try:
        rehearse_client(load_identity(folder, roles=frozenset({Role.CLIENT})))
    except IdentityError as error:
        return str(error)
    return ""


def _examine(failure: Failure, case: Case) -> Mapping[str, str]:
    """Return what the doctor finds wrong: check and cause."""
    command, *options = failure.examine
    client = case.client
    if command == "check":
        target = [str(client.folder)]
    elif client.certificate:
        target = [case.server.http, "--identity", str(client.folder)]
    else:
        target = [case.server.http, "--ca", client.path(client.ca)]
    _, found = patient.run(command, *target, *options)
    return {
        check["id"]: check["detail"] for check in found["checks"] if check["result"] == "failed"
    }
