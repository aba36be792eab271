"""One connection to the server under examination, from TCP to its last byte, and its record."""

import ipaddress
import shlex
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from mtls.errors import MtlsError

from doctor.keylog import keylog
from doctor.messages import Kind, of_kind, version_chosen
from doctor.watch import ContentType, Direction, Message, watch
from runtime.dial import connect_to_any


class Obstacle(StrEnum):
    """Why there is no TCP connection: nothing of this has to do with certificates."""

    UNKNOWN_NAME = "unknown name"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Target:
    """An address, and the `name` that the server's certificate has to have."""

    host: str
    port: int
    name: str

    def __str__(self) -> str:
        return _with_port(self.host, self.port)

    @property
    def authority(self) -> str:
        """What HTTP calls the server (RFC 9110, section 7.2)."""
        return _with_port(self.name, self.port)

    @property
    def server_hostname(self) -> str:
        """The name for TLS; a trailing dot is DNS's own and is not part of it (RFC 6066, 3)."""
        return self.name.rstrip(".")


class NotReached(MtlsError):
    """There is no TCP connection; the message is the system's."""

    def __init__(self, obstacle: Obstacle, message: str) -> None:
        super().__init__(message)
        self.obstacle = obstacle


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_target(text: str, name: str = "") -> Target:
    """Read HOST:PORT; an IPv6 address stands in brackets. Raises `ValueError`."""
    if "://" in text:
        raise ValueError(_instead_of_url(text))
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8443")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 2**16:
        raise ValueError("give HOST:PORT, such as localhost:8443 or [::1]:8443")
    try:
        name = (name or host).encode("idna").decode("ascii")
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise ValueError(f"{name or host!r} is not a host name") from error
    return Target(host, int(port), name)


def _instead_of_url(url: str) -> str:
    """Say what to give in place of a URL. Raises `ValueError` for a port that is no number."""
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    path = f", and its path with --http --path {shlex.quote(parts.path)}" if parts.path else ""
    return f"it is a URL; give {_with_port(parts.hostname or 'HOST', port)} instead{path}"


def dial(target: Target, seconds: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers. Raises `NotReached`."""
    try:
        return connect_to_any(target.host, target.port, seconds)
    except socket.gaierror as error:
        raise NotReached(Obstacle.UNKNOWN_NAME, error.strerror or str(error)) from error
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise NotReached(Obstacle.UNKNOWN_NAME, str(error)) from error
    except ConnectionRefusedError as error:
        raise NotReached(Obstacle.REFUSED, error.strerror or str(error)) from error
    except TimeoutError as error:
        raise NotReached(Obstacle.TIMEOUT, f"no answer in {seconds:g} seconds") from error
    except OSError as error:
        raise NotReached(Obstacle.UNREACHABLE, error.strerror or str(error)) from error


class Ending(StrEnum):
    """How a connection ended."""

    OPEN = "open"
    CLOSED = "closed"
    RESET = "reset"
    SILENT = "silent"  # an answer was owed, and the time was up, or far too much had come
    FAILED = "failed"  # a TLS error: an alert of theirs, a verdict of ours, or not TLS at all


@dataclass(frozen=True, slots=True)
class Flight:
    """Bytes that went over the network together, `seconds` after the connection."""

    direction: Direction
    data: bytes
    seconds: float


@dataclass(slots=True)
class Attempt:
    """What happened on a connection.

    `is_finished` says whether the handshake was complete from our side, `verdict` is OpenSSL's
    message about a server certificate that did not verify, `error` its name for any other failure.
    `flights` are the bytes themselves, and `secrets`, if they were asked for, open them.
    `session` can be given to the next connection, which then is resumed if the server agrees.
    """

    target: Target
    not_reached: NotReached | None = None
    address: str = ""
    first_bytes: bytes = b""
    messages: list[Message] = field(default_factory=list)
    is_finished: bool = False
    version: str | None = None
    cipher: str = ""
    alpn: str | None = None
    verdict: str = ""
    error: str = ""
    ending: Ending = Ending.OPEN
    answer: bytes = b""
    flights: list[Flight] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)
    is_resumed: bool = False
    session: ssl.SSLSession | None = field(default=None, repr=False)

    @property
    def hello_version(self) -> int:
        """The number of the TLS version that the server chose; 0 if it chose none."""
        return version_chosen(self.messages)

    @property
    def has_verified(self) -> bool:
        """Whether we accepted the server's certificate: only then did we send our Finished."""
        return any(of_kind(self.messages, Direction.SENT, Kind.FINISHED))

    @property
    def has_ticket(self) -> bool:
        """Whether the server sent a session ticket, which it does after reading our Finished."""
        return any(of_kind(self.messages, Direction.RECEIVED, Kind.NEW_SESSION_TICKET))


_READ_BYTES: Final = 16 * 1024
_MAX_BYTES: Final = 256 * 1024  # of a whole conversation
_FIRST_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask once the handshake is done.

    `patience` is for how many seconds to listen for a refusal before asking: in TLS 1.3 it comes
    after our part of the handshake, and an alert is lost if data is under way to a closed socket.
    `ask` is what to send, given the protocol that ALPN has chosen (nothing: only listen), and
    `is_answered` says whether what has come back is enough.
    """

    alpn: tuple[str, ...]
    patience: float
    ask: Callable[[str | None], bytes] = lambda _: b""
    is_answered: Callable[[bytes], bool] = bool


class _Over(Exception):
    def __init__(self, ending: Ending) -> None:
        self.ending = ending


def converse(
    target: Target,
    context: ssl.SSLContext,
    question: Question,
    timeout: float,
    *,
    with_secrets: bool = False,
) -> Attempt:
    """Connect, shake hands, listen for a refusal, ask, and listen for the answer.

    `timeout` (seconds) is for the connection and then for all that follows. `context` verifies.
    Nothing is raised for what the other side does.
    """
    try:
        connection = dial(target, timeout)
    except NotReached as error:
        return Attempt(target, not_reached=error)
    with connection:
        address = str(connection.getpeername()[0])
        record = converse_over(
            connection, target, context, question, timeout, with_secrets=with_secrets
        )
    record.address = address
    return record


def converse_over(
    connection: socket.socket,
    target: Target,
    context: ssl.SSLContext,
    question: Question,
    timeout: float,
    *,
    with_secrets: bool = False,
    session: ssl.SSLSession | None = None,
) -> Attempt:
    """Hold the conversation over a connection that is there; `session` is one to resume.

    With secrets it is recorded to the last byte that came, and not only to the answer.
    """
    record = Attempt(target)
    conversation = _Conversation(record, connection, context, timeout, is_recorded=with_secrets)
    watch(context, conversation.seconds, record.messages.append)
    context.set_alpn_protocols(list(question.alpn))
    with keylog(context, record.secrets) if with_secrets else nullcontext():
        try:
            conversation.hold(question, session)
        except _Over as over:
            record.ending = over.ending
        except ssl.SSLCertVerificationError as error:
            record.verdict, record.ending = error.verify_message, Ending.FAILED
        except ssl.SSLError as error:
            record.error, record.ending = error.reason or str(error), Ending.FAILED
    return record


class _Conversation:
    """TLS over a socket, with the bytes in our hands so that we can tell what came in."""

    def __init__(
        self,
        record: Attempt,
        connection: socket.socket,
        context: ssl.SSLContext,
        timeout: float,
        *,
        is_recorded: bool,
    ) -> None:
        self._is_recorded = is_recorded  # to the last byte that has come
        self._record = record
        self._socket = connection
        self._context = context
        self._begin = time.monotonic()
        self._deadline = self._begin + timeout
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._received = 0

    def seconds(self) -> float:
        """Return how old the connection is."""
        return time.monotonic() - self._begin

    def hold(self, question: Question, session: ssl.SSLSession | None) -> None:
        """Go through the whole conversation."""
        self._tls = self._context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_hostname=self._record.target.server_hostname,
            session=session,
        )
        try:
            self._shake_hands()
            self._listen_for_refusal(question.patience)
            text = question.ask(self._record.alpn)
            if text and not question.is_answered(self._record.answer):  # HTTP/2 speaks unasked
                self._tls.write(text)
                self._note(Direction.SENT, text)
                self._listen(self._deadline, question.is_answered)
            if self._is_recorded:
                self._take_the_rest()
        finally:
            self._flush()  # the alert that OpenSSL wrote, too
            if self._record.is_finished:  # in TLS 1.3 the session comes after the handshake
                self._record.session = self._tls.session

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._receive(self._deadline)
        self._flush()
        self._record.is_finished = True
        self._record.version = self._tls.version()
        self._record.alpn = self._tls.selected_alpn_protocol()
        self._record.is_resumed = bool(self._tls.session_reused)
        if cipher := self._tls.cipher():
            self._record.cipher = cipher[0]

    def _listen_for_refusal(self, patience: float) -> None:
        try:
            self._listen(
                min(time.monotonic() + patience, self._deadline),
                lambda answer: bool(answer) or self._record.has_ticket,
            )
        except _Over as over:
            if over.ending is not Ending.SILENT:
                raise

    def _listen(self, deadline: float, is_enough: Callable[[bytes], bool]) -> None:
        while not is_enough(self._record.answer):
            try:
                data = self._tls.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                if is_enough(self._record.answer):  # a ticket, which is no data
                    return
                self._flush()
                self._receive(deadline)
            else:
                if not data:  # close_notify: the other side has said all that it will
                    raise _Over(Ending.CLOSED)
                self._record.answer += data
                self._note(Direction.RECEIVED, data)

    def _take_the_rest(self) -> None:
        """Read what has come along with the answer, without waiting for more."""
        with suppress(ssl.SSLError):
            while data := self._tls.read(_READ_BYTES):
                self._record.answer += data
                self._note(Direction.RECEIVED, data)

    def _receive(self, deadline: float) -> None:
        """Wait for bytes from the other side and give them to OpenSSL."""
        left = deadline - time.monotonic()
        if left <= 0 or self._received > _MAX_BYTES:
            raise _Over(Ending.SILENT)
        self._socket.settimeout(left)
        try:
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            raise _Over(Ending.SILENT) from None
        except OSError:
            raise _Over(Ending.RESET) from None
        if not data:
            raise _Over(Ending.CLOSED)
        self._received += len(data)
        self._record.flights.append(Flight(Direction.RECEIVED, data, self.seconds()))
        self._record.first_bytes += data[: _FIRST_BYTES - len(self._record.first_bytes)]
        self._incoming.write(data)

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._record.flights.append(Flight(Direction.SENT, data, self.seconds()))
            try:
                self._socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
                self._socket.sendall(data)
            except OSError:
                pass  # what the other side sent is still to be read

    def _note(self, direction: Direction, data: bytes) -> None:
        """Record data, of which the message callback says nothing."""
        last = self._record.messages[-1]
        self._record.messages.append(
            Message(direction, ContentType.DATA, last.version, data, self.seconds())
        )
