"""Telling an HTTP client why TLS has failed, with the alert that asyncio forgets to send.

When TLS fails, in the handshake or after it, OpenSSL leaves an alert (RFC 8446, section 6.2) in the
outgoing buffer, and asyncio and uvloop close the connection without flushing it
(python/cpython#98078). The client sees a closed socket, and the server logs nothing. Here the error
is kept back: the event loop, told that TLS wants to read, first sends what is in the buffer. Then
we end our half of the connection, and read on for a moment, so that the client reads the alert. If
the alert was the client's own, there is nothing to send, and the connection is closed at once.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from mtls.refusals import PENDING_HANDSHAKE, PendingHandshake, Reason, Refusal
from mtls.reporting.presented import watch_handshakes

# In TLS 1.3 a client sends its first request before it can know of the refusal. Closing on unread
# data resets the connection, and the client may never see the alert. A read is 256 KiB at most.
_READS_AFTER_ALERT: Final = 4
_SECONDS_AFTER_ALERT: Final = 2.0

# OpenSSL 3.2 and newer say only that their record layer has failed. The alert that they have sent
# (RFC 8446, section 6) tells a spoiled record from bytes that are no TLS at all: those get none.
_HIDDEN: Final = "RECORD_LAYER_FAILURE"
_RECORD_ALERTS: Final = {10: "UNEXPECTED_MESSAGE", 20: "BAD_RECORD_MAC", 22: "RECORD_OVERFLOW"}

_NOT_A_FAULT: Final = (
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ssl.SSLSyscallError,
)


def explain_refusals(
    context: ssl.SSLContext,
    afterwards: ssl.SSLContext,
    *,
    refused: Callable[[Refusal], None],
    broken: Callable[[Refusal], None],
) -> None:
    """Make a server's `context` send the alert of every TLS fault, and report each once.

    `refused` is told of a refused handshake, `broken` of a fault after it. A connection that is
    accepted goes on in `afterwards`, a context with the same settings: watching every record of a
    large upload would cost half as much again as decrypting it.
    """
    watch_handshakes(context)

    class ExplainingObject(ssl.SSLObject):
        presented = b""
        alert: int | None = None
        _pending: PendingHandshake | None = None
        _error: ssl.SSLError | None = None
        _reads_left = _READS_AFTER_ALERT

        def do_handshake(self) -> None:
            self._pending = self._pending or PENDING_HANDSHAKE.get()
            if self._error:
                self._read_on(self._error)
            try:
                super().do_handshake()
            except _NOT_A_FAULT:
                raise
            except ssl.SSLError as error:
                if self._pending:
                    self._pending.reported = True
                self._fail(error, refused)
            self.presented = b""
            self.context = afterwards

        def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002  named by ssl
            if self._error:
                self._read_on(self._error)
            try:
                return super().read(len, buffer)
            except _NOT_A_FAULT:
                raise
            except ssl.SSLError as error:
                self._fail(error, broken)

        def _fail(self, error: ssl.SSLError, report: Callable[[Refusal], None]) -> NoReturn:
            peer = self._pending.peer if self._pending else None
            refusal = Refusal.from_error(error, peer, self.presented)
            if error.reason == _HIDDEN and self.alert in _RECORD_ALERTS:
                text = _RECORD_ALERTS[self.alert]
                refusal = Refusal.from_text(text, peer, self.presented)
            report(refusal)
            without_tls = report is refused and refusal.reason is Reason.PLAINTEXT
            if without_tls or refusal.reason is Reason.REFUSED_BY_PEER:
                raise error  # nobody would read an alert, or it was the client who has sent one
            # Its traceback leads back here. In a circle, every refusal's buffers would stay in
            # memory until the garbage collector comes.
            self._error = error.with_traceback(None)
            if self._pending and self._pending.connection:
                loop = asyncio.get_running_loop()
                # At the end of this turn of the loop, the alert is out.
                loop.call_soon(_shut_down, self._pending.connection, socket.SHUT_WR)
                loop.call_later(
                    _SECONDS_AFTER_ALERT, _shut_down, self._pending.connection, socket.SHUT_RDWR
                )
            raise ssl.SSLWantReadError from error

        def _read_on(self, error: ssl.SSLError) -> NoReturn:
            if self._reads_left == 0:
                raise error
            self._reads_left -= 1
            raise ssl.SSLWantReadError from error

    context.sslobject_class = ExplainingObject


def _shut_down(connection: socket.socket, how: int) -> None:
    """Shut down one half, or both: then the event loop reads the end, and closes."""
    with suppress(OSError):  # it is closed already
        connection.shutdown(how)
