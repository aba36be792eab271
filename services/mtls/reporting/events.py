"""The observer that logs, one structured line for each event, and counts."""

import logging
import ssl
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, Final, TextIO

from mtls.address import Address
from mtls.errors import MtlsError
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.observer import Observer
from mtls.peer import Peer, PeerError
from mtls.policy import Denied, Policy
from mtls.refusals import Refusal
from mtls.reporting.audit import Audit
from mtls.reporting.connection_probe import probe
from mtls.reporting.core_log import CoreLine, read_core_log
from mtls.reporting.log_rate_limiter import Kind, LogRateLimiter
from mtls.reporting.metrics import Metrics
from mtls.reporting.presented import Presented
from mtls.reporting.tls_alerts import explain_refusals
from mtls.revocation import REVOKED
from mtls.ssl_contexts import client_context

import structlog
from cryptography import x509

_MAX_CHARACTERS: Final = 200
# Control and format characters, separators of lines, halves of characters (Unicode, chapter 4.5).
_ESCAPED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_log = structlog.get_logger(__name__)


def configure_logging(
    log_format: str, stream: TextIO | None = None, *, level: int = logging.INFO
) -> None:
    """Replace the root logger's handlers: all events go to `stream`, as `json` or `console`.

    At the level DEBUG there is a line for each call that was answered.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(default=_structured)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _escape_values,
                renderer,
            ],
            foreign_pre_chain=shared,
        )
    )
    handler.addFilter(_admits)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every file that changes
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _escape_values(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    """Escape each value, as the last step before all are written: a peer may have said any of them.

    So it can neither begin a line of its own nor steer a terminal. A traceback keeps its lines.
    """
    return {
        name: _escaped(value, keep="\n" if name == "exception" else "")
        for name, value in event.items()
    }


def _escaped(value: Any, keep: str = "") -> Any:
    match value:
        case str() if not value.isprintable():
            return "".join(
                character.encode("unicode_escape").decode("ascii")
                if unicodedata.category(character) in _ESCAPED and character not in keep
                else character
                for character in value
            )
        case dict():
            return {_escaped(name): _escaped(each) for name, each in value.items()}
        case list() | tuple():
            return [_escaped(each) for each in value]
        case _:
            return value


def _structured(value: Any) -> Any:
    """Return what JSON has no form for, as a thing that it has one for."""
    return asdict(value) if isinstance(value, Presented) else repr(value)


def _admits(record: logging.LogRecord) -> bool:
    """Keep libraries short too: aiohttp has a traceback for every request that it cannot parse."""
    if isinstance(record.msg, dict):  # ours
        return True
    is_debug = record.levelno < logging.INFO  # what we do is what DEBUG is for, not what they do
    return not is_debug and _LIMIT.admits((record.name, str(record.msg)[:_MAX_CHARACTERS]))


def log_limited(event: str, like: str, *, level: int = logging.WARNING, **fields: Any) -> None:
    """Log an event, unless there were many with the same `like` a moment ago."""
    if _log.is_enabled_for(level) and _LIMIT.admits((event, like)):
        _log.log(level, event, **fields)


def _log_suppressed(kind: Kind, lines: int) -> None:
    what, like = kind
    _log.warning("log.suppressed", what=what, like=like, lines=lines, seconds=_LIMIT.seconds)


_LIMIT: Final = LogRateLimiter(_log_suppressed)


class Reporter(Observer):
    """Logs what happens, counts it in `metrics`, and keeps the latest refusals in `audit`."""

    def __init__(self) -> None:
        self.metrics: Final = Metrics()
        self.audit: Final = Audit()

    @contextmanager
    def reading_core_log(self, endpoint: str) -> Iterator[None]:
        """Replace file descriptor 2, to log every handshake that gRPC refuses in this process.

        The C-core does not say on which side it stood: `grpc_client` is the name of the endpoint in
        a process that only calls, `grpc` in one that serves.
        """
        try:
            with read_core_log(partial(self._on_core_line, endpoint)):
                yield
        finally:
            _LIMIT.flush()

    def _on_core_line(self, endpoint: str, line: CoreLine) -> None:
        if line.refusal:
            self.handshake_refused(endpoint, line.refusal)
        else:
            log_limited("grpc.core", endpoint, error=line.text)

    def identity_loaded(self, identity: Identity) -> None:
        """Log it, and show when it expires."""
        self.metrics.expiry.track(identity)
        name = str(identity.spiffe_id)
        _log.info(
            "identity.loaded", identity=name, layout=identity.layout.issuer, **described(identity)
        )
        if identity.revocations is None:
            _log.warning(
                "revocation.not_checked",
                identity=name,
                advice=f"A revoked certificate is accepted until it expires: put {REVOKED} into "
                "the folder.",
            )

    def identity_renewed(self, identity: Identity) -> None:
        """Log and count it."""
        name = str(identity.spiffe_id)
        self.metrics.expiry.track(identity)
        self.metrics.renewals.labels(name, "taken").inc()
        _log.info("identity.renewed", identity=name, **described(identity))

    def identity_refused(self, current: Identity, error: str) -> None:
        """Log and count it."""
        name = str(current.spiffe_id)
        self.metrics.renewals.labels(name, "refused").inc()
        _log.error(
            "identity.refused",
            identity=name,
            error=error,
            kept=current.serial,
            expires=current.certificate.not_valid_after_utc.isoformat(),
        )

    def handshake_accepted(self, endpoint: str) -> None:
        """Count it; a line for each would be as long as an access log."""
        self.metrics.handshakes.labels(endpoint, "accepted", "").inc()

    def handshake_refused(self, endpoint: str, refusal: Refusal) -> None:
        """Log, count and remember it."""
        reason = refusal.reason.value
        self.audit.refused(endpoint, refusal)
        self.metrics.handshakes.labels(endpoint, "refused", reason).inc()
        if not _LIMIT.admits(("handshake.refused", f"{endpoint} {reason}")):
            return
        presented = Presented.parse(refusal.presented)
        known = {"peer": refusal.peer, "presented": presented}
        _log.warning(
            "handshake.refused",
            endpoint=endpoint,
            reason=reason,
            error=refusal.error,
            **{name: value for name, value in known.items() if value},
        )

    def connection_dropped(self, endpoint: str, peer: Address, limit: str) -> None:
        """Log and count it."""
        self.metrics.dropped.labels(endpoint, limit).inc()
        log_limited(
            "connection.dropped",
            f"{endpoint} {limit}",
            endpoint=endpoint,
            peer=str(peer),
            limit=limit,
        )

    def connection_closed(self, endpoint: str, peer: Address, reason: str) -> None:
        """Log it."""
        log_limited(
            "connection.closed",
            f"{endpoint} {reason}",
            endpoint=endpoint,
            reason=reason,
            peer=str(peer),
        )

    def connection_broken(self, endpoint: str, fault: Refusal) -> None:
        """Log an open connection that was closed since TLS failed on it."""
        log_limited(
            "connection.closed",
            f"{endpoint} tls_error {fault.error}",
            endpoint=endpoint,
            reason="tls_error",
            peer=fault.peer,
            error=fault.error,
        )

    def accept_failed(self, endpoint: str, error: OSError) -> None:
        """Log it."""
        log_limited(
            "server.cannot_accept", f"{endpoint} {error.errno}", endpoint=endpoint, error=str(error)
        )

    def policy_in_force(self, endpoint: str, policy: Policy) -> None:
        """Remember it."""
        self.audit.serves(endpoint, policy)

    def call_denied(
        self, endpoint: str, policy: Policy, method: str, error: Denied | PeerError
    ) -> None:
        """Log and remember it."""
        self.audit.denied(endpoint, method, error)
        labels = self.metrics.labels_of(policy)
        log_limited(
            "call.denied",
            f"{error.reason} {labels.identity(error.peer)} {labels.method(method)}",
            endpoint=endpoint,
            reason=error.reason,
            identity=str(error.peer.spiffe_id) if error.peer else None,
            method=method[:_MAX_CHARACTERS],  # a peer may ask for anything
            rule=error.rule,
        )

    def call_finished(
        self, endpoint: str, policy: Policy, peer: Peer | None, method: str, code: str
    ) -> None:
        """Count and remember it; at the level DEBUG log it too."""
        labels = self.metrics.labels_of(policy)
        identity, action = labels.identity(peer), labels.method(method)
        self.metrics.count_call(endpoint, identity, action, code)
        self.audit.answered(endpoint, identity, action, code)
        if _log.is_enabled_for(logging.DEBUG):
            log_limited(
                "call.answered",
                f"{code} {identity} {action}",
                level=logging.DEBUG,
                endpoint=endpoint,
                identity=str(peer.spiffe_id) if peer else None,
                method=method[:_MAX_CHARACTERS],
                code=code,
            )

    def request_malformed(self, endpoint: str, peer: str, status: int, error: str) -> None:
        """Log it."""
        log_limited(
            "request.malformed",
            f"{endpoint} {status}",
            endpoint=endpoint,
            peer=peer,
            status=status,
            error=error[:_MAX_CHARACTERS],
        )

    def channel_renewed(self, address: Address, identity: Identity) -> None:
        """Log it."""
        _log.info("channel.renewed", address=str(address), serial=identity.serial)

    async def channel_failing(self, address: Address, identity: Identity) -> None:
        """Look why, since gRPC says only `UNAVAILABLE`, and log it."""
        finding = await probe(address, client_context(identity, protocols=("h2",)))
        _log.warning(
            "connection.failed",
            address=str(address),
            cause=finding.cause.value,
            error=finding.error,
            advice=finding.advice,
        )

    def instrument_server_context(
        self, endpoint: str, context: ssl.SSLContext, make_plain: Callable[[], ssl.SSLContext]
    ) -> None:
        """Have every client told by an alert why TLS has failed, and us what it has shown."""
        explain_refusals(
            context,
            make_plain(),
            refused=partial(self.handshake_refused, endpoint),
            broken=partial(self.connection_broken, endpoint),
        )

    def failed(self, what: str, error: Exception) -> None:
        """Log it with its traceback."""
        _log.error("internal.failed", what=what, exc_info=error)


def audit_of(source: IdentitySource) -> Audit:
    """Return what the observer of this identity keeps. Raises `MtlsError` if it keeps nothing."""
    if not isinstance(source.observer, Reporter):
        raise MtlsError("Nothing is kept here: give watch_identity a Reporter as its observer.")
    return source.observer.audit


def described(identity: Identity) -> dict[str, Any]:
    """Return what tells an identity from the one before it, for the log."""
    revocations = identity.revocations
    return {
        "serial": identity.serial,
        "expires": identity.certificate.not_valid_after_utc.isoformat(),
        "roots": len(x509.load_pem_x509_certificates(identity.ca_pem)),
        "revoked": len(revocations.certificates) if revocations else None,
    }
