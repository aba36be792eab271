"""The view "Certificates": what is served now, and requests that go on while it is replaced.

As long as somebody watches, once a second: a handshake with each server on a new connection, which
shows the certificate that is served at that moment, and a request through gateway and queue. All
who watch see the same. `GET /api/certificates/events` tells of it, as server-sent events:

    identities   every identity, its certificates as far as we have seen them, which are revoked
    beats        what happened in the last two minutes, and then once a second: [{at, lanes}, ...]
"""

import asyncio
import datetime as dt
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from mtls import IdentitySource

import orjson
from aiohttp import web
from cryptography import x509

from console.config import Config
from console.context import CONFIG, GATEWAY, IDENTITY, SIGHT
from console.errors import Busy, ConsoleError
from console.gateway import GatewayClient
from console.json_http import detail_of
from console.sight import Sight, certificate_json, rfc3339
from console.status import now

_BEAT_SECONDS: Final = 1.0
_BEATS: Final = 120
_MAX_WATCHERS: Final = 20
_MAX_CERTIFICATES: Final = 6  # of one identity: the last ones
_MAX_FILES: Final = 100
_MAX_FILE_BYTES: Final = 64 * 1024
_REQUEST: Final = "/videos?page_size=1"
# bootstrap_certs.py dates a leaf back by this, and renews it when a third of its life is left.
_BACKDATE: Final = dt.timedelta(minutes=5)


def renewal_due(certificate: x509.Certificate) -> dt.datetime:
    """Return when the renewer issues the next one: a third of the life is left."""
    begin = certificate.not_valid_before_utc + _BACKDATE
    return certificate.not_valid_after_utc - (certificate.not_valid_after_utc - begin) / 3


class Chronicle:
    """The certificates of every identity, as they were seen: the last few of each."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, dict[str, Any]]] = {}
        self._how: dict[str, str] = {}
        self.revoked: frozenset[str] = frozenset()

    def note(self, certificate: x509.Certificate, how: str) -> None:
        """Note a certificate, and how it was seen; the latest noted is the current one."""
        facts = certificate_json(certificate)
        of_identity = self._seen.setdefault(facts["identity"], {})
        due = rfc3339(renewal_due(certificate))
        first = of_identity.pop(facts["serial"], {}).get("seen_at") or now()
        of_identity[facts["serial"]] = facts | {"renewal_due": due, "seen_at": first}
        self._how[facts["identity"]] = how
        for serial in list(of_identity)[:-_MAX_CERTIFICATES]:
            del of_identity[serial]

    def as_json(self) -> list[dict[str, Any]]:
        """Return every identity with its certificates, the current one last."""
        return [
            {
                "identity": identity,
                "how": self._how[identity],
                "certificates": [
                    {**facts, "revoked": facts["serial"] in self.revoked} for facts in seen.values()
                ],
            }
            for identity, seen in sorted(self._seen.items())
        ]


class Pulse:
    """Beats once a second while somebody watches."""

    def __init__(
        self, config: Config, source: IdentitySource, sight: Sight, gateway: GatewayClient
    ) -> None:
        self._config, self._source, self._sight, self._gateway = config, source, sight, gateway
        self.chronicle = Chronicle()
        self.beats: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_BEATS)
        self._number = 0
        self._watchers = 0
        self._changed = asyncio.Condition()
        self._beating: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Beat while the body runs. Raises `Busy`."""
        if self._watchers >= _MAX_WATCHERS:
            raise Busy(f"{_MAX_WATCHERS} pages watch the certificates already: close one.")
        self._watchers += 1
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat_for_ever())
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and self._beating:
                self._beating.cancel()
                self._beating = None

    async def after(self, number: int) -> list[tuple[int, dict[str, Any]]]:
        """Return the beats after that number; wait for one if there is none."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._number > number)
        return [beat for beat in self.beats if beat[0] > number]

    async def _beat_for_ever(self) -> None:
        while True:
            begin = time.monotonic()
            beat = await self._beat()
            async with self._changed:
                self._number += 1
                self.beats.append((self._number, beat))
                self._changed.notify_all()
            await asyncio.sleep(max(0.0, begin + _BEAT_SECONDS - time.monotonic()))

    async def _beat(self) -> dict[str, Any]:
        at = now()
        sightings, request, files = await asyncio.gather(
            self._sight.look(),
            self._request(),
            asyncio.to_thread(_read_folder, self._config.certificates),
        )
        for certificate in files:
            self.chronicle.note(certificate, "published: what its folder holds now")
        me = self._source.current
        self.chronicle.note(me.certificate, "our own: what we show on new connections")
        lanes = [request]
        for seen in sightings:
            if seen.certificate:
                self.chronicle.note(
                    seen.certificate, f"served by {seen.address} on new connections"
                )
            serial = f"{seen.certificate.serial_number:x}" if seen.certificate else ""
            lanes.append(
                {
                    "lane": seen.server,
                    "ok": seen.is_accepted,
                    "serial": serial,
                    "milliseconds": round(seen.seconds * 1000, 1),
                    "error": "" if seen.is_accepted else seen.error,
                    "fix": "" if seen.is_accepted else seen.advice,
                }
            )
        revocations = me.revocations
        revoked = revocations.certificates if revocations else ()
        self.chronicle.revoked = frozenset(f"{each.serial:x}" for each in revoked)
        return {"at": at, "lanes": lanes}

    async def _request(self) -> dict[str, Any]:
        """Ask the gateway for what it has to ask the queue for."""
        begin, error, fix = time.monotonic(), "", ""
        try:
            async with (
                asyncio.timeout(self._config.call_seconds),
                self._gateway.request("GET", _REQUEST) as answer,
            ):
                content = await answer.read()
                if answer.status != HTTPStatus.OK:
                    error = f"HTTP {answer.status}: {detail_of(content) or 'no details'}"
        except TimeoutError:
            error = f"no answer within {self._config.call_seconds:g} s"
        except ConsoleError as failure:
            error, fix = str(failure), failure.fix
        return {
            "lane": "request",
            "ok": not error,
            "serial": "",
            "milliseconds": round((time.monotonic() - begin) * 1000, 1),
            "error": error,
            "fix": fix,
        }


def _read_folder(folder: Path | None) -> list[x509.Certificate]:
    """Return the leaf in each certificate file; one that is half written is read a second later."""
    found = []
    for path in sorted(folder.rglob("*.crt"))[:_MAX_FILES] if folder else ():
        try:
            with path.open("rb") as file:
                found.append(x509.load_pem_x509_certificate(file.read(_MAX_FILE_BYTES)))
        except (OSError, ValueError):
            continue
    return found


PULSE: Final = web.AppKey("PULSE", Pulse)


def add(app: web.Application) -> None:
    """Add this view's routes, and what they need."""
    app.add_routes([web.get("/api/certificates/events", watch)])
    app.cleanup_ctx.append(_pulsing)


async def _pulsing(app: web.Application) -> AsyncIterator[None]:
    app[PULSE] = Pulse(app[CONFIG], app[IDENTITY], app[SIGHT], app[GATEWAY])
    yield


async def watch(request: web.Request) -> web.StreamResponse:
    """Tell what happens once a second, until the browser goes."""
    pulse = request.app[PULSE]
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    with pulse.watched():
        await response.prepare(request)
        number, told = 0, b""
        while True:
            beats = await pulse.after(number)
            identities = orjson.dumps(pulse.chronicle.as_json())
            if identities != told:
                await response.write(_event("identities", identities))
                told = identities
            number = beats[-1][0]
            await response.write(_event("beats", orjson.dumps([beat for _, beat in beats])))


def _event(name: str, data: bytes) -> bytes:
    # JSON as orjson writes it has no line break in it, which would end the field.
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
