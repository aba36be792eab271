"""What happened, one structured line each, on standard error."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, Final, TextIO

from mtls.refusals import Refusal
from mtls.reporting.core_log import CoreLine, read_core_log
from mtls.reporting.log_rate_limiter import Kind, LineLimit
from mtls.reporting.metrics import DROPPED, HANDSHAKES
from mtls.reporting.presented import Presented

import structlog

_MAX_CHARACTERS: Final = 200

_log = structlog.get_logger(__name__)


def configure_logging(log_format: str, stream: TextIO | None = None) -> None:
    """Send all events, the libraries' too, to `stream`: `json` or, for people, `console`."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    handler.addFilter(_admits)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every file that changes
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _admits(record: logging.LogRecord) -> bool:
    """Keep libraries short too: aiohttp has a traceback for every request that it cannot parse."""
    is_ours = isinstance(record.msg, dict)
    return is_ours or _LIMIT.admits((record.name, str(record.msg)[:_MAX_CHARACTERS]))


def log_limited(event: str, like: str, **fields: Any) -> None:
    """Log a warning, unless there were many with the same `like` a moment ago."""
    if _LIMIT.admits((event, like)):
        _log.warning(event, **fields)


def _log_left_out(kind: Kind, lines: int) -> None:
    what, like = kind
    _log.warning("log.left_out", what=what, like=like, lines=lines, seconds=_LIMIT.seconds)


_LIMIT: Final = LineLimit(_log_left_out)


def count_accepted(endpoint: str) -> None:
    """Count one accepted connection; a line for each would be as long as an access log."""
    HANDSHAKES.labels(endpoint, "accepted", "").inc()


def count_dropped(endpoint: str, limit: str) -> None:
    """Count one connection for which there was no place."""
    DROPPED.labels(endpoint, limit).inc()


def report_refusal(endpoint: str, refusal: Refusal) -> None:
    """Count one refused connection, and log it."""
    reason = refusal.reason.value
    HANDSHAKES.labels(endpoint, "refused", reason).inc()
    if not _LIMIT.admits(("connection.refused", f"{endpoint} {reason}")):
        return
    presented = Presented.parse(refusal.presented)
    known = {"peer": refusal.peer, "presented": presented and asdict(presented)}
    _log.warning(
        "connection.refused",
        endpoint=endpoint,
        reason=reason,
        words=refusal.words,
        **{name: value for name, value in known.items() if value},
    )


@contextmanager
def report_refusals(endpoint: str = "grpc") -> Iterator[None]:
    """Log every handshake that gRPC refuses in this process, and its C-core's other complaints.

    The C-core does not say on which side it stood: `grpc_client` is for a process that only calls.
    """
    try:
        with read_core_log(partial(_on_core_line, endpoint)):
            yield
    finally:
        _LIMIT.settle()


def _on_core_line(endpoint: str, line: CoreLine) -> None:
    if line.refusal:
        report_refusal(endpoint, line.refusal)
    else:
        log_limited("grpc.core", endpoint, words=line.words)
