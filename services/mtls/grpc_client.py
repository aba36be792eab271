"""A gRPC channel that changes its certificate while calls go on.

gRPC in Python reads a client's certificate when a channel is made, and never again
(grpc/grpc#41779). So for each new identity there is a new channel. It has to stand before calls
move over to it: as long as the server does not take the new certificate, the old one is used. The
old channel is closed when its last call has ended; every call has a deadline, so it comes to that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self

from mtls.address import Address
from mtls.grpc_endpoint import channel_credentials
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.reporting.channel_watch import explaining_failures

import grpc
import grpc.aio
import structlog

_log = structlog.get_logger(__name__)

Options = Sequence[tuple[str, Any]]


@asynccontextmanager
async def renewing_channel(
    address: Address, source: IdentitySource, options: Options = ()
) -> AsyncIterator[grpc.aio.Channel]:
    """Yield a channel to `address` as the identity in force: to be used like any other.

    It connects at the first call, again when it must, and says why when it cannot.
    """
    channel = RenewingChannel(lambda identity: _Lane(address, identity, options), source)
    try:
        yield channel
    finally:
        await channel.close()


def _used_of(identity: Identity) -> tuple[bytes, ...]:
    """Return what a channel takes of an identity: grpcio has no use for revocation lists."""
    return identity.key_pem, identity.chain_pem, identity.ca_pem


class _Lane:
    """A channel for one identity, and how many calls are under way on it."""

    def __init__(self, address: Address, identity: Identity, options: Options) -> None:
        self.identity: Final = identity
        self.channel: Final = grpc.aio.secure_channel(
            str(address), channel_credentials(identity), options=options
        )
        self._explaining = asyncio.create_task(self._explain(address))
        self._calls = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def _explain(self, address: Address) -> None:
        async with explaining_failures(self.channel, address, self.identity):
            await asyncio.Event().wait()

    def begin(self, call: grpc.aio.Call) -> None:
        """Take note of a call until it has ended."""
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
        self._explaining.cancel()
        with suppress(asyncio.CancelledError):
            await self._explaining
        await self.channel.close()


class _Method:
    """What a stub calls: it belongs to the lane that is in use at the time of the call."""

    def __init__(self, owner: "RenewingChannel", kind: str, *args: Any, **kwargs: Any) -> None:
        self._owner = owner
        self._make: Callable[[grpc.aio.Channel], Any] = lambda channel: getattr(channel, kind)(
            *args, **kwargs
        )
        self._lane: _Lane | None = None
        self._call: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        lane = self._owner.lane
        if lane is not self._lane:
            self._lane, self._call = lane, self._make(lane.channel)
        call = self._call(*args, **kwargs)
        lane.begin(call)
        return call


class RenewingChannel(grpc.aio.Channel):
    """Behaves as the channel of the identity in force; made by `renewing_channel`."""

    def __init__(self, open_lane: Callable[[Identity], _Lane], source: IdentitySource) -> None:
        self.lane = open_lane(source.current)
        self._open_lane = open_lane
        self._newest = source.current
        self._moving: asyncio.Task[None] | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._unsubscribe = source.subscribe(self._follow)

    def _follow(self, identity: Identity) -> None:
        if _used_of(identity) == _used_of(self._newest):
            return
        self._newest = identity
        if self._moving:
            self._moving.cancel()  # the channel that was to come is out of date
        self._moving = asyncio.create_task(self._move(identity))

    async def _move(self, identity: Identity) -> None:
        lane = self._open_lane(identity)
        try:
            await lane.channel.channel_ready()
        except BaseException:
            await lane.close()
            raise
        old, self.lane = self.lane, lane
        _log.info("channel.renewed", serial=identity.serial)
        draining = asyncio.create_task(old.drain())
        self._draining.add(draining)
        draining.add_done_callback(self._draining.discard)

    async def close(self, grace: float | None = None) -> None:  # noqa: ARG002
        """End at once, without `grace`: calls that are under way are cancelled."""
        self._unsubscribe()
        for task in (*self._draining, *filter(None, [self._moving])):
            task.cancel()
        await asyncio.gather(*self._draining, *filter(None, [self._moving]), return_exceptions=True)
        await self.lane.close()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return _Method(self, "unary_unary", *args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return _Method(self, "unary_stream", *args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return _Method(self, "stream_unary", *args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return _Method(self, "stream_stream", *args, **kwargs)

    def get_state(  # noqa: D102
        self,
        try_to_connect: bool = False,  # noqa: FBT001, FBT002  as in grpc.aio
    ) -> grpc.ChannelConnectivity:
        return self.lane.channel.get_state(try_to_connect)

    async def wait_for_state_change(  # noqa: D102
        self, last_observed_state: grpc.ChannelConnectivity
    ) -> None:
        await self.lane.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:  # noqa: D102
        await self.lane.channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()
