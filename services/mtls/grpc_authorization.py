"""The policy at the door of a gRPC server: no handler runs before it has said yes."""

from __future__ import annotations  # grpc's classes are generic in its type stubs alone

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, NoReturn, TypeAlias

from mtls.calls import Door
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.peer import Peer, PeerError, peer_of_call
from mtls.policy import Denied, Policy
from mtls.standing import Lapsed, check_standing

import grpc
import grpc.aio

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Answers PERMISSION_DENIED to every call that the policy does not name; counts them all.

    A peer whose certificate has expired or was revoked since the handshake gets UNAUTHENTICATED,
    also in the middle of a call.
    """

    def __init__(self, policy: Policy, source: IdentitySource) -> None:
        self._door = Door("grpc", policy, source)
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
        if handler is None:
            return grpc.unary_unary_rpc_method_handler(self._guard(_unimplemented, method))
        if handler.response_streaming:
            behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
            guarded = self._guard_stream(behavior, method)
        else:
            behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
            guarded = self._guard(behavior, method)
        return _HANDLERS[handler.request_streaming, handler.response_streaming](
            guarded, handler.request_deserializer, handler.response_serializer
        )

    def _guard(self, behavior: Any, method: str) -> Any:
        async def guarded(request: Any, context: _Context) -> Any:
            async with self._admitted(context, method):
                return await behavior(request, context)

        return guarded

    def _guard_stream(self, behavior: Any, method: str) -> Any:
        async def guarded(request: Any, context: _Context) -> None:
            async with self._admitted(context, method):
                responses = behavior(request, context)
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

        return guarded

    @asynccontextmanager
    async def _admitted(self, context: _Context, method: str) -> AsyncIterator[None]:
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
                yield
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


_HANDLERS: dict[tuple[bool, bool], Callable[..., _Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


async def _unimplemented(_request: Any, context: _Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "There is no such method.")
