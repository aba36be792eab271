"""The policy at the door of a gRPC server: no handler runs before it has said yes.

gRPC would read the one request of a unary call before it asks us, and if none comes it never
answers (seen in 1.85): the call, with what metadata it was sent, stays for as long as the
connection. So to gRPC every request is a stream, and the one of a unary call is taken from it here.
"""

from __future__ import annotations  # grpc's classes are generic in its type stubs alone

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import lru_cache, partial
from typing import Any, Final, NoReturn, TypeAlias

from mtls.authorizer import Door
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.peer import Peer, PeerError, peer_of_call
from mtls.policy import Denied, Policy
from mtls.standing import Lapsed, check_standing

import grpc
import grpc.aio

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
# The C-core knows this limit as `grpc.max_metadata_size`. But if a header comes in many frames, it
# was seen (1.85) to let nine of ten calls through that have sixty times as much.
MAX_METADATA_BYTES: Final = 16 * 1024
_MAX_METHODS: Final = 1024  # whose guarded handlers are kept, and not made anew for each call

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Read: TypeAlias = Callable[[Any, _Context], Awaitable[Any]]


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Answers PERMISSION_DENIED to every call that the policy does not name; counts them all.

    A peer whose certificate has expired or was revoked since the handshake gets UNAUTHENTICATED,
    also in the middle of a call.
    """

    def __init__(self, policy: Policy, source: IdentitySource) -> None:
        self._door = Door("grpc", policy, source)
        self._guarded = lru_cache(maxsize=_MAX_METHODS)(self._guard_handler)
        self._running: dict[asyncio.Task[Any], Peer] = {}
        self._cut_off: dict[asyncio.Task[Any], Lapsed] = {}
        source.subscribe(self._cut_off_lapsed)

    def _cut_off_lapsed(self, identity: Identity) -> None:
        for task, peer in self._running.items():
            try:
                check_standing(peer, identity)
            except Lapsed as error:
                if task not in self._cut_off:
                    self._cut_off[task] = error
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

            return await self._admit(answer, context, method)

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

            await self._admit(answer, context, method)

        return guarded

    async def _admit(
        self, answer: Callable[[], Awaitable[Any]], context: _Context, method: str
    ) -> Any:
        """Let the call be answered, or refuse it; here it is counted in the end."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in one
        peer, ended_by = None, None
        try:
            try:
                peer = self._door.admit(partial(peer_of_call, context), method)
            except (Denied, PeerError) as error:
                peer = None if isinstance(error, PeerError) else error.peer
                await _refuse(context, error)
            self._running[task] = peer
            try:
                return await answer()
            except asyncio.CancelledError:
                if (lapsed := self._cut_off.get(task)) is None:
                    raise
                task.uncancel()
                self._door.log_denied(lapsed, peer, method)
                await _refuse(context, lapsed)
        except BaseException as error:
            ended_by = error
            raise
        finally:
            self._running.pop(task, None)
            self._cut_off.pop(task, None)
            self._door.count(peer, method, _code_of(context, ended_by))


async def _refuse(context: _Context, error: Denied | PeerError) -> NoReturn:
    code = grpc.StatusCode.PERMISSION_DENIED
    if isinstance(error, Lapsed):
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
