"""Which databases a URL may name: SQLite, or PostgreSQL over mutual TLS or a Unix socket."""

from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

POSTGRESQL: Final = "postgresql+psycopg"

_VERIFY_FULL: Final = "sslmode=verify-full"
_HOLDS: Final = (
    f"it should hold sqlite:///FILE or {POSTGRESQL}://USER@HOST:PORT/DATABASE?{_VERIFY_FULL}"
)
# What else libpq knows could say where to connect to, or which certificate to show, once more.
_TAKEN: Final = frozenset(
    {
        "application_name",
        "connect_timeout",
        "host",
        "load_balance_hosts",
        "port",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)


def parse_database_url(text: str) -> URL:
    """Return the URL. Raises `ValueError` with what is wrong, and never with the URL itself."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"is not a database URL: {_HOLDS}.") from None
    if url.drivername == POSTGRESQL:
        _check_postgresql(url)
    elif url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise ValueError(f"names a database that is not supported: {_HOLDS}.")
    return url


def uses_socket(url: URL) -> bool:
    """Whether PostgreSQL is reached by a Unix socket, where the kernel says who calls."""
    return all(host.startswith("/") for host in _hosts(url))


def _check_postgresql(url: URL) -> None:
    if unknown := sorted(url.query.keys() - _TAKEN):
        raise ValueError(
            f"has the parameter {unknown[0][:50]!r}: it may have {', '.join(sorted(_TAKEN))}. "
            "The certificate that is shown is the queue's own, of VIDEO_QUEUE_IDENTITY."
        )
    if not all(_hosts(url)):
        raise ValueError(f"names no host: {_HOLDS}, or ?host=/FOLDER for a Unix socket.")
    if not uses_socket(url) and url.query.get("sslmode") != "verify-full":
        raise ValueError(
            "would let the connection go without TLS, or to any server: "
            f"end it with ?{_VERIFY_FULL}."
        )


def _hosts(url: URL) -> list[str]:
    """Return the hosts, in each form that SQLAlchemy's dialect takes; "" where there is none."""
    named = url.query.get("host", ())
    several = (named,) if isinstance(named, str) else named
    hosts = [host for each in several for host in each.split(",")]
    return [*([url.host] if url.host else []), *hosts] or [""]
