"""A gRPC channel that changes its certificate while calls go on. TLS 1.3 only: see __init__.py.

    async with mtls_channel("greeter:8443", identity) as channel: ...

gRPC in Python reads a client's certificate when a channel is made, and never again
(grpc/grpc#41779). So for each new identity there is a new channel. It has to be connected before
calls move over to it: as long as the server refuses the new certificate, the old one is used. The
old channel is closed when its last call has ended; every call has a deadline, so it comes to that.

The C-core checks a server's name against its subjectAltName and, if there is none, against the
common name; it cannot be told otherwise. Our issuing CA makes no certificate without names.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self

from mtls.address import Address
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.observer import Observer
from mtls.rehearsal import rehearse_grpc_client

import grpc
import grpc.aio

_FAILING_SECONDS: Final = 30.0  # between two reports of a channel that cannot connect

Options = Sequence[tuple[str, Any]]

# An option of channels: a service dials its peers itself. Without it gRPC obeys `https_proxy`,
# which many machines have for calls that leave their network.
NO_PROXY: Final = ("grpc.enable_http_proxy", 0)


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """Return credentials that show `identity` and accept only servers of its CA, by DNS name."""
    return grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem,
        private_key=identity.key_pem,
        certificate_chain=identity.chain_pem,
    )


@asynccontextmanager
async def mtls_channel(
    address: Address | str, source: IdentitySource, options: Options = ()
) -> AsyncIterator[grpc.aio.Channel]:
    """Yield a channel to `address` as the identity in use: to be used like any other.

    It connects at the first call, again when it must, and reports when it cannot.
    """
    source.rehearse_with(rehearse_grpc_client)
    channel = _RenewingChannel(Address.of(address), source, options)
    try:
        yield channel
    finally:
        await channel.close()


async def report_failures(
    channel: grpc.aio.Channel, address: Address, identity: Identity, observer: Observer
) -> None:
    """Report when `channel` cannot connect, at once and then every 30 s, until it is closed."""
    while (state := channel.get_state()) is not grpc.ChannelConnectivity.SHUTDOWN:
        if state is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await channel.wait_for_state_change(state)
            continue
        await observer.channel_failing(address, identity)
        await asyncio.sleep(_FAILING_SECONDS)


def _used_of(identity: Identity) -> tuple[bytes, ...]:
    """Return what a channel takes of an identity: grpcio has no use for revocation lists."""
    return identity.key_pem, identity.chain_pem, identity.ca_pem


class _Generation:
    """A channel for one identity, and how many calls are under way on it."""

    def __init__(
        self, address: Address, identity: Identity, options: Options, observer: Observer
    ) -> None:
        self.channel: Final = grpc.aio.secure_channel(
            str(address), channel_credentials(identity), options=(NO_PROXY, *options)
        )
        self._reporting = asyncio.create_task(
            report_failures(self.channel, address, identity, observer)
        )
        self._calls = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def begin(self, call: grpc.aio.Call) -> None:
        """Count a call until it has ended."""
        self._calls += 1
        self._is_empty.clear()
        call.add_done_callback(self._end)

    def _end(self, _call: grpc.aio.Call) -> None:
        self._calls -= 1
        if self._calls == 0:
            self._is_empty.set()

    async def drain(self) -> None:
        """Close the channel when its calls have ended, or when this is cancelled."""
        try:
            await self._is_empty.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the channel now; calls that are under way are cancelled."""
        self._reporting.cancel()
        with suppress(asyncio.CancelledError):
            await self._reporting
        await self.channel.close()


class _Method:
    """What a stub calls: it belongs to the generation that is in use at the time of the call."""

    def __init__(self, owner: "_RenewingChannel", kind: str, *args: Any, **kwargs: Any) -> None:
        self._owner = owner
        self._make: Callable[[grpc.aio.Channel], Any] = lambda channel: getattr(channel, kind)(
            *args, **kwargs
        )
        self._generation: _Generation | None = None
        self._call: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        generation = self._owner.generation
        if generation is not self._generation:
            self._generation, self._call = generation, self._make(generation.channel)
        call = self._call(*args, **kwargs)
        generation.begin(call)
        return call


class _RenewingChannel(grpc.aio.Channel):
    """Behaves as the channel of the identity in use."""

    def __init__(self, address: Address, source: IdentitySource, options: Options) -> None:
        self._address, self._options, self._observer = address, options, source.observer
        self._newest = source.current
        self.generation = self._open(source.current)
        self._moving: asyncio.Task[None] | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._unsubscribe = source.subscribe(self._follow)

    def _open(self, identity: Identity) -> _Generation:
        return _Generation(self._address, identity, self._options, self._observer)

    def _follow(self, identity: Identity) -> None:
        if _used_of(identity) == _used_of(self._newest):
            return
        self._newest = identity
        if self._moving:
            self._moving.cancel()  # the channel that was to come is out of date
        self._moving = asyncio.create_task(self._move(identity))

    async def _move(self, identity: Identity) -> None:
        generation = self._open(identity)
        try:
            await generation.channel.channel_ready()
        except BaseException:
            await generation.close()
            raise
        old, self.generation = self.generation, generation
        self._observer.channel_renewed(self._address, identity)
        draining = asyncio.create_task(old.drain())
        self._draining.add(draining)
        draining.add_done_callback(self._draining.discard)

    async def close(self, grace: float | None = None) -> None:  # noqa: ARG002
        """End at once, without `grace`: calls that are under way are cancelled."""
        self._unsubscribe()
        for task in (*self._draining, *filter(None, [self._moving])):
            task.cancel()
        await asyncio.gather(*self._draining, *filter(None, [self._moving]), return_exceptions=True)
        await self.generation.close()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "unary_unary", *args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "unary_stream", *args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "stream_unary", *args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _Method(self, "stream_stream", *args, **kwargs)

    def get_state(
        self,
        try_to_connect: bool = False,  # noqa: FBT001, FBT002  as in grpc.aio
    ) -> grpc.ChannelConnectivity:
        return self.generation.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self.generation.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.generation.channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()
