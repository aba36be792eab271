"""When do my certificates change: watch the folder, and take over what is sound.

What is half written, does not fit together, has expired, or cannot be read is refused, and the
identity in force stays in force: a failed renewal must not take down what still works.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from mtls.certificates import Role
from mtls.errors import MtlsError
from mtls.identity import Identity, IdentityError, load_identity
from mtls.identity_source import IdentitySource
from mtls.reporting.metrics import EXPIRY, RENEWALS

import structlog
from cryptography import x509
from watchfiles import awatch

_log = structlog.get_logger(__name__)

# The system tells us of a change at once, but not on every file system, nor if the folder itself
# was replaced. So we also look by time; a revocation takes so long at the most to be known.
LOOK_SECONDS: Final = 5.0
_SETTLE_MILLISECONDS: Final = 100  # a renewal writes several files


@asynccontextmanager
async def watching(
    folder: Path, *, roles: frozenset[Role], every_seconds: float = LOOK_SECONDS
) -> AsyncIterator[IdentitySource]:
    """Load the identity in `folder`, and keep it up to date while the body runs.

    Raises `IdentityError` if there is no sound one to begin with.
    """
    source = IdentitySource(load_identity(folder, roles=roles))
    EXPIRY.track(source.current)
    watcher = asyncio.create_task(_Watch(folder, roles, source).run(every_seconds))
    try:
        yield source
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


class _Watch:
    def __init__(self, folder: Path, roles: frozenset[Role], source: IdentitySource) -> None:
        self._folder, self._roles, self._source = folder, roles, source
        self._last_refusal = ""

    async def run(self, every_seconds: float) -> None:
        async with aclosing(_looks(self._folder, every_seconds)) as looks:
            async for _ in looks:
                try:
                    await self._look()
                    self._source.tell()
                except Exception:  # noqa: BLE001  a surprise must not end the watch
                    _log.exception("identity.watch_failed")

    async def _look(self) -> None:
        name = str(self._source.current.spiffe_id)
        try:
            found = await asyncio.to_thread(load_identity, self._folder, roles=self._roles)
            if found == self._source.current:
                self._last_refusal = ""
                return
            _check_successor(self._source.current, found)
            self._source.replace(found)
        except (MtlsError, ssl.SSLError) as error:
            self._refuse(name, str(error))
            return
        self._last_refusal = ""
        EXPIRY.track(found)
        RENEWALS.labels(name, "taken").inc()
        _log.info("identity.renewed", identity=name, **described(found))

    def _refuse(self, name: str, reason: str) -> None:
        if reason == self._last_refusal:
            return  # said already, and nothing has changed since
        self._last_refusal = reason
        kept = self._source.current
        RENEWALS.labels(name, "refused").inc()
        _log.error(
            "identity.refused",
            identity=name,
            reason=reason,
            kept=kept.serial,
            expires=kept.certificate.not_valid_after_utc.isoformat(),
        )


def described(identity: Identity) -> dict[str, Any]:
    """Return what tells an identity from the one before it, for the log."""
    revocations = identity.revocations
    return {
        "serial": identity.serial,
        "expires": identity.certificate.not_valid_after_utc.isoformat(),
        "roots": len(x509.load_pem_x509_certificates(identity.ca_pem)),
        "revoked": len(revocations.certificates) if revocations else None,
    }


def _check_successor(current: Identity, found: Identity) -> None:
    if found.spiffe_id != current.spiffe_id:
        raise IdentityError(
            f"The folder now holds {found.spiffe_id}, and this service is {current.spiffe_id}: "
            "put its own certificate back."
        )
    if current.revocations and not found.revocations:
        raise IdentityError("The revocation lists have gone: put revoked.crl back.")


async def _looks(folder: Path, every_seconds: float) -> AsyncGenerator[None, None]:
    """Yield whenever something has changed in `folder`, and after `every_seconds` at the latest."""
    while True:
        changes = awatch(
            folder,
            watch_filter=None,
            debounce=_SETTLE_MILLISECONDS,
            rust_timeout=int(every_seconds * 1000),
            yield_on_timeout=True,
            recursive=False,
        )
        # No folder, or no right or room to watch it: then by time alone, until there is.
        with suppress(OSError, RuntimeError):
            async with aclosing(changes):
                async for _ in changes:
                    yield
        await asyncio.sleep(every_seconds)
        yield
