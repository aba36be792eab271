"""A gRPC server with mutual TLS: its port, and who may call what. TLS 1.3 only: see __init__.py.

    server = grpc.aio.server(interceptors=[authorize_calls(identity, ALLOWED)])
    add_mtls_port(server, "0.0.0.0:50051", identity)

gRPC would read the one request of a unary call before it asks us, and if none comes it never
answers (seen in 1.85): the call, with what metadata it was sent, stays for as long as the
connection. So to gRPC every request is a stream, and the one of a unary call is taken from it here.
"""

from __future__ import annotations  # grpc's classes are generic in its type stubs alone

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from functools import lru_cache, partial
from math import inf
from typing import Any, Final, NoReturn, TypeAlias

from mtls.address import Address
from mtls.authorizer import Authorizer
from mtls.errors import ListenError
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.peer import CHECK_SECONDS, NoLongerValid, Peer, PeerError, peer_of_call
from mtls.policy import Allowed, Denied
from mtls.rehearsal import rehearse_grpc_server
from mtls.spiffe import SpiffeId

import grpc
import grpc.aio

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
# The C-core knows this limit as `grpc.max_metadata_size`. But if a header comes in many frames, it
# was seen (1.85) to let nine of ten calls through that have sixty times as much.
MAX_METADATA_BYTES: Final = 16 * 1024
_MAX_METHODS: Final = 1024  # whose guarded handlers are kept, and not made anew for each call

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Read: TypeAlias = Callable[[Any, _Context], Awaitable[Any]]

# The call that is being served, and who makes it: `auth_context()` is computed anew each time.
_CALL: ContextVar[tuple[_Context, Peer] | None] = ContextVar("_CALL", default=None)


def add_mtls_port(
    server: grpc.aio.Server, address: Address | str, source: IdentitySource
) -> Address:
    """Serve on `address` as the identity in use, only clients of its CA.

    Returns the address, with the real port when that is 0. Raises `ListenError`, or `IdentityError`
    if gRPC cannot use the certificate.
    """
    address = Address.of(address)
    source.rehearse_with(rehearse_grpc_server)
    try:
        port = server.add_secure_port(str(address), server_credentials(source))
    except RuntimeError as error:
        raise ListenError(
            f"Cannot listen on {address}: another program may have the port, or the host is not "
            "one of this machine's."
        ) from error
    return Address(address.host, port)


def server_credentials(source: IdentitySource) -> grpc.ServerCredentials:
    """Return credentials that show the identity in use and let in only clients of its CA.

    After a change the C-core drops its tickets with the old configuration, so that nobody of a CA
    that is no longer trusted comes back by a resumed session.
    """
    configuration = source.derive(_configuration)
    in_use = configuration.value

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Say before each handshake whether there is something new: in a thread of the C-core."""
        nonlocal in_use
        latest = configuration.value
        if latest is in_use:
            return None
        in_use = latest
        return latest

    return grpc.dynamic_ssl_server_credentials(
        in_use,
        fetch,  # type: ignore[arg-type]  # the stubs forget that None means: as before
        require_client_authentication=True,
    )


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key_pem, identity.chain_pem)], root_certificates=identity.ca_pem
    )


def peer_of(context: _Context) -> Peer:
    """Return who makes the call that `context` belongs to. Raises `PeerError`.

    In a call that `authorize_calls` has let through, this is what it has found.
    """
    call = _CALL.get()
    return call[1] if call and call[0] is context else peer_of_call(context)


def authorize_calls(
    source: IdentitySource, allowed: Allowed, *, max_calls_per_identity: int | None = None
) -> grpc.aio.ServerInterceptor:
    """Return an interceptor that answers PERMISSION_DENIED to every call that `allowed` lacks.

    `allowed` names for each method (`/package.Service/Method`) the peers that may call it. A peer
    whose certificate has expired or was revoked since the handshake gets UNAUTHENTICATED, also in
    the middle of a call. A handler finds who calls by `peer_of(context)`.

    A SPIFFE ID that has `max_calls_per_identity` calls open gets RESOURCE_EXHAUSTED for one more.
    With the server's `maximum_concurrent_rpcs` above the sum of all, no identity can use up what
    another needs.
    """
    authorizer = Authorizer("grpc", allowed, source)
    return _AuthorizationInterceptor(authorizer, source, max_calls_per_identity)


class _AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    def __init__(
        self, authorizer: Authorizer, source: IdentitySource, max_calls_per_identity: int | None
    ) -> None:
        self._authorizer, self._source = authorizer, source
        self._max_calls = inf if max_calls_per_identity is None else max_calls_per_identity
        self._calls: Counter[SpiffeId] = Counter()
        self._guarded = lru_cache(maxsize=_MAX_METHODS)(self._guard_handler)
        self._running: dict[asyncio.Task[Any], Peer] = {}
        self._cut_off: dict[asyncio.Task[Any], NoLongerValid] = {}
        self._next_check: asyncio.TimerHandle | None = None
        source.subscribe(lambda _identity: self._cut_off_outdated_calls())

    def _begin(self, task: asyncio.Task[Any], peer: Peer) -> None:
        self._running[task] = peer
        self._calls[peer.spiffe_id] += 1
        if self._next_check is None:
            self._check_later()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._cut_off.pop(task, None)
        if peer := self._running.pop(task, None):
            self._calls[peer.spiffe_id] -= 1
            if not self._calls[peer.spiffe_id]:
                del self._calls[peer.spiffe_id]  # or every caller that was ever here would stay

    def _check_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_check = loop.call_later(CHECK_SECONDS, self._check_by_time)

    def _check_by_time(self) -> None:
        """Look every few seconds, while calls are under way: certificates expire by themselves."""
        self._next_check = None
        self._cut_off_outdated_calls()
        if self._running:
            self._check_later()

    def _cut_off_outdated_calls(self) -> None:
        """Cancel the calls of peers whose certificate is no longer valid."""
        for task, peer in self._running.items():
            try:
                peer.check_still_valid(self._source.current)
            except NoLongerValid as error:
                if task not in self._cut_off:
                    self._cut_off[task] = error
                    task.cancel()
            except Exception as error:  # noqa: BLE001  one peer must not keep the others from it
                self._source.observer.failed("A call could not be judged, and is cut off", error)
                task.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """Put the check in front of the handler; only there is the peer's certificate known."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        if _size_bytes(handler_call_details.invocation_metadata) > MAX_METADATA_BYTES:
            return _STREAM_UNARY(self._guard(_too_much_metadata, method, _all_requests))
        if handler is None:
            return _STREAM_UNARY(self._guard(_unimplemented, method, _all_requests))
        return self._guarded(handler, method)

    def _guard_handler(self, handler: _Handler, method: str) -> _Handler:
        read = _all_requests if handler.request_streaming else _one_request
        if handler.response_streaming:
            behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make, guarded = _STREAM_STREAM, self._guard_stream(behavior, method, read)
        else:
            behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
            make, guarded = _STREAM_UNARY, self._guard(behavior, method, read)
        return make(guarded, handler.request_deserializer, handler.response_serializer)

    def _guard(self, behavior: Any, method: str, read: _Read) -> Any:
        async def guarded(requests: Any, context: _Context) -> Any:
            async def answer() -> Any:
                return await behavior(await read(requests, context), context)

            return await self._serve(answer, context, method)

        return guarded

    def _guard_stream(self, behavior: Any, method: str, read: _Read) -> Any:
        async def guarded(requests: Any, context: _Context) -> None:
            async def answer() -> None:
                responses = behavior(await read(requests, context), context)
                if inspect.isawaitable(responses):  # a handler that calls context.write itself
                    await responses
                    return
                async with aclosing(responses):
                    async for response in responses:
                        try:
                            await context.write(response)
                        except grpc.aio.InternalError:  # the client has gone
                            context.set_code(grpc.StatusCode.CANCELLED)
                            return

            await self._serve(answer, context, method)

        return guarded

    async def _serve(
        self, answer: Callable[[], Awaitable[Any]], context: _Context, method: str
    ) -> Any:
        """Let the call be answered, or refuse it; here it is counted in the end."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in one
        peer, ended_by = None, None
        try:
            try:
                peer = self._authorizer.authorize(partial(peer_of_call, context), method)
            except (Denied, PeerError) as error:
                peer = error.peer
                await _refuse(context, error)
            if self._calls[peer.spiffe_id] >= self._max_calls:
                await context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{peer.spiffe_id} has {self._max_calls} calls open: end one, then try again.",
                )
            _CALL.set((context, peer))
            self._begin(task, peer)
            try:
                return await answer()
            except asyncio.CancelledError:
                if (outdated := self._cut_off.get(task)) is None:
                    raise
                task.uncancel()
                self._authorizer.deny(outdated, method)
                await _refuse(context, outdated)
        except BaseException as error:
            ended_by = error
            raise
        finally:
            self._end(task)
            self._authorizer.finish(peer, method, _code_of(context, ended_by))


async def _refuse(context: _Context, error: Denied | PeerError) -> NoReturn:
    code = grpc.StatusCode.PERMISSION_DENIED
    if isinstance(error, NoLongerValid):
        code = grpc.StatusCode.UNAUTHENTICATED
    await context.abort(code, str(error))


def _code_of(context: _Context, ended_by: BaseException | None) -> str:
    """Return the status that the client gets; grpc.aio itself sets it after us."""
    if code := context.code():
        return code.name
    if ended_by is None:
        return "OK"
    if isinstance(ended_by, asyncio.CancelledError):
        return "DEADLINE_EXCEEDED" if context.time_remaining() == 0 else "CANCELLED"
    return "UNKNOWN"


def _size_bytes(metadata: Any) -> int:
    """Return the size as gRPC and HTTP/2 count it (RFC 9113, section 6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in metadata or ())


_STREAM_UNARY: Callable[..., _Handler] = grpc.stream_unary_rpc_method_handler
_STREAM_STREAM: Callable[..., _Handler] = grpc.stream_stream_rpc_method_handler


async def _all_requests(requests: Any, _context: _Context) -> Any:
    return requests


async def _one_request(_requests: Any, context: _Context) -> Any:
    request = await context.read()
    if request is grpc.aio.EOF:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The call came without its request.")
    return request


async def _too_much_metadata(_requests: Any, context: _Context) -> None:
    await context.abort(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"The metadata of a call may have {MAX_METADATA_BYTES} bytes: send less.",
    )


async def _unimplemented(_requests: Any, context: _Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "There is no such method.")
