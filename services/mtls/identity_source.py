"""Which identity is in use now: read from a folder, and replaced when the files change.

    async with watch_identity(Path("certs/gateway"), Role.SERVER) as identity:
        ...

Long-lived parts of a service hold this source, and not an `Identity`. New files that are half
written, do not fit together, have expired or cannot be read are refused, and the identity in use
stays in use: a failed renewal must not take down what still works.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from mtls.certificates import Role
from mtls.errors import MtlsError
from mtls.identity import Identity, IdentityError, load_identity
from mtls.observer import NO_OBSERVER, Observer
from mtls.rehearsal import rehearse_client
from mtls.revocation import REVOKED, RevocationError
from mtls.ssl_contexts import client_context

# The system tells of a change at once, but not on every file system, nor if the folder itself was
# replaced. So the files are also read by time; a revocation is known after this long at the most.
POLL_SECONDS: Final = 5.0
_DEBOUNCE_MILLISECONDS: Final = 100  # a renewal writes several files
# SPIRE's helper writes its three files in place, one after the other: what does not fit together is
# read again before it is reported. cert-manager's are switched by one rename, ours are one file.
_READ_AGAIN_SECONDS: Final = 1.0

_Made = TypeVar("_Made")


class Derived(Generic[_Made]):
    """Something that is made from the identity in use; `value` may be read in any thread."""

    def __init__(self, make: Callable[[Identity], _Made], value: _Made) -> None:
        self.make = make
        self.value = value


class IdentitySource:
    """Holds the identity in use; unless `watch_identity` made it, the same for ever.

    With `rehearses`, every stack that uses it tries an identity before that is used, the first too.
    """

    def __init__(
        self, identity: Identity, observer: Observer = NO_OBSERVER, *, rehearses: bool = False
    ) -> None:
        self.observer: Final = observer
        self._rehearses = rehearses
        self._rehearsals: list[Callable[[Identity], None]] = []
        self._current = identity
        self._derived: list[Derived[Any]] = []
        self._subscribers: list[Callable[[Identity], None]] = []

    @property
    def current(self) -> Identity:
        """The identity in use."""
        return self._current

    @property
    def client_context(self) -> ssl.SSLContext:
        """The context of now for an HTTP client: ask for it with each request."""
        return self._client_context.value

    @cached_property
    def _client_context(self) -> Derived[ssl.SSLContext]:
        self.rehearse_with(rehearse_client)
        return self.derive(client_context)

    def client_contexts(self, ca_pem: bytes | None = None) -> Derived[ssl.SSLContext]:
        """Return the context of now for an HTTP client, for a library that keeps its settings.

        With `ca_pem` it accepts only servers of those CAs, and not of ours; our revocation lists
        say nothing of them.
        """
        if ca_pem is None:
            return self._client_context
        return self.derive(
            lambda identity: client_context(replace(identity, ca_pem=ca_pem, revocations=None))
        )

    def derive(self, make: Callable[[Identity], _Made]) -> Derived[_Made]:
        """Return what `make` makes of the identity in use, now and after each change."""
        derived = Derived(make, make(self._current))
        self._derived.append(derived)
        return derived

    def rehearse_with(self, rehearsal: Callable[[Identity], None]) -> None:
        """Have `rehearsal` called before an identity is used: it raises `IdentityError` if not.

        Raises what it says of the identity in use now.
        """
        if self._rehearses and rehearsal not in self._rehearsals:
            rehearsal(self._current)
            self._rehearsals.append(rehearsal)

    def rehearse(self, identity: Identity) -> None:
        """Try an identity that is to come on every stack. Raises `IdentityError`."""
        for rehearsal in tuple(self._rehearsals):
            rehearsal(identity)

    def subscribe(self, subscriber: Callable[[Identity], None]) -> Callable[[], None]:
        """Have `subscriber` called in the event loop after each change; return how to end that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def replace(self, identity: Identity) -> None:
        """Use another identity, everywhere or nowhere, and tell the subscribers.

        What was derived is made first: the exception of a maker, as when OpenSSL does not take
        the new key, leaves all as it was. An exception of a subscriber is reported, and the others
        are told all the same.
        """
        made = [(derived, derived.make(identity)) for derived in self._derived]
        for derived, value in made:
            derived.value = value
        self._current = identity
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(identity)
            except Exception as error:  # noqa: BLE001  whatever it is, it is one subscriber's own
                self.observer.failed("A subscriber of the identity failed", error)


@asynccontextmanager
async def watch_identity(
    folder: Path,
    *roles: Role,
    observer: Observer = NO_OBSERVER,
    require_revocation_lists: bool = True,
    poll_seconds: float = POLL_SECONDS,
) -> AsyncIterator[IdentitySource]:
    """Load the identity in `folder` for these roles, and keep it up to date while the body runs.

    A missing `revoked.crl` is refused, unless `require_revocation_lists` is false: then, without
    one, a revoked certificate is accepted until it expires. Raises `IdentityError` if the files are
    not usable to begin with.
    """
    load = partial(
        load_identity,
        folder,
        roles=frozenset(roles),
        require_revocation_lists=require_revocation_lists,
    )
    source = IdentitySource(load(), observer, rehearses=True)
    observer.identity_loaded(source.current)
    watching = asyncio.create_task(_watch(source, folder, load, poll_seconds))
    try:
        yield source
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(
    source: IdentitySource, folder: Path, load: Callable[[], Identity], poll_seconds: float
) -> None:
    reported = ""
    async with aclosing(_changes(folder, poll_seconds)) as changes:
        async for _ in changes:
            try:
                error = await _read_again(source, load)
                if error not in {"", reported}:
                    await asyncio.sleep(min(_READ_AGAIN_SECONDS, poll_seconds))
                    error = await _read_again(source, load)
                if error not in {"", reported}:  # it is said once, and nothing has changed since
                    source.observer.identity_refused(source.current, error)
                reported = error
            except Exception as surprise:  # noqa: BLE001  it must not end the watch
                source.observer.failed("Reading the identity again failed", surprise)


async def _read_again(source: IdentitySource, load: Callable[[], Identity]) -> str:
    """Use the files if they have changed; return why they cannot be used, or an empty text."""
    try:
        found = await asyncio.to_thread(load)
        if found == source.current:
            return ""
        _check_successor(source.current, found)
        await asyncio.to_thread(source.rehearse, found)
        source.replace(found)
    except (MtlsError, ssl.SSLError) as error:
        return str(error)
    source.observer.identity_renewed(found)
    return ""


def _check_successor(current: Identity, found: Identity) -> None:
    if found.spiffe_id != current.spiffe_id:
        raise IdentityError(
            f"The folder now holds {found.spiffe_id}, and this service is {current.spiffe_id}: "
            "put its own certificate back."
        )
    if not current.revocations:
        return
    if not found.revocations:
        raise IdentityError("The revocation lists have gone: put revoked.crl back.")
    try:
        found.revocations.check_not_older_than(current.revocations)
    except RevocationError as error:
        raise IdentityError(f"{found.folder / REVOKED} {error}.") from error


async def _changes(folder: Path, poll_seconds: float) -> AsyncGenerator[None, None]:
    """Yield when something has changed in `folder`, and after `poll_seconds` at the latest."""
    while True:
        # No watchfiles, no folder, or no right or room to watch it: then by time alone.
        with suppress(ImportError, OSError, RuntimeError):
            from watchfiles import awatch

            changes = awatch(
                folder,
                watch_filter=None,
                debounce=_DEBOUNCE_MILLISECONDS,
                rust_timeout=int(poll_seconds * 1000),
                yield_on_timeout=True,
                recursive=False,
            )
            async with aclosing(changes):
                async for _ in changes:
                    yield
        await asyncio.sleep(poll_seconds)
        yield
