"""Telling a refused HTTP client why, with the TLS alert that asyncio forgets to send.

When a handshake fails, OpenSSL leaves the alert (RFC 8446, section 6.2) in the outgoing buffer,
and asyncio and uvloop close the connection without flushing it (python/cpython#98078). The client
sees a closed socket, and the server logs nothing. Here the error is kept back: the event loop, told
that the handshake wants to read, first sends what is in the buffer, and then waits for the client,
who reads the alert and closes. To one that goes on sending or stays silent, the connection is
closed after a few more reads or when the time for the handshake is over.
"""

import ssl
from collections.abc import Callable
from typing import Final

from mtls.refusals import PENDING_HANDSHAKE, PendingHandshake, Reason, Refusal
from mtls.reporting.presented import keep_presented

# In TLS 1.3 a client sends its first request before it can know of the refusal. Closing on unread
# data resets the connection, and the client may never see the alert. A read is 256 KiB at most.
_READS_AFTER_ALERT: Final = 4

_NOT_A_REFUSAL = (
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
) -> None:
    """Make a server's `context` send the alert of every refused handshake, and report it once.

    A connection that is accepted goes on in `afterwards`, a context with the same settings:
    watching every record of a large upload would cost half as much again as decrypting it.
    """
    keep_presented(context)

    class ExplainingObject(ssl.SSLObject):
        presented = b""
        _pending: PendingHandshake | None = None
        _error: ssl.SSLError | None = None
        _reads_left = _READS_AFTER_ALERT

        def do_handshake(self) -> None:
            self._pending = self._pending or PENDING_HANDSHAKE.get()
            if self._error is None:
                self._first_attempts()
            elif self._reads_left == 0:
                raise self._error
            else:
                self._reads_left -= 1
                raise ssl.SSLWantReadError from self._error

        def _first_attempts(self) -> None:
            try:
                super().do_handshake()
            except _NOT_A_REFUSAL:
                raise
            except ssl.SSLError as error:
                peer = None
                if self._pending:
                    peer, self._pending.reported = self._pending.peer, True
                refusal = Refusal.from_error(error, peer, self.presented)
                refused(refusal)
                if refusal.reason is Reason.PLAINTEXT:
                    raise  # a client without TLS cannot read an alert
                # Its traceback leads back here. In a circle, every refusal's buffers would stay in
                # memory until the garbage collector comes.
                self._error = error.with_traceback(None)
                raise ssl.SSLWantReadError from error
            self.presented = b""
            self.context = afterwards

    context.sslobject_class = ExplainingObject
