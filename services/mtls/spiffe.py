"""SPIFFE IDs: the names by which the services know each other."""

import re
from dataclasses import dataclass
from typing import Final, Self

from mtls.errors import MtlsError

# SPIFFE-ID specification, sections 2.1 to 2.3: which characters a trust domain and a path may have.
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_PATH_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_SCHEME: Final = "spiffe://"
_MAX_BYTES: Final = 2048


class SpiffeIdError(MtlsError):
    """This is not a SPIFFE ID."""


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A name such as `spiffe://example.org/gateway`.

    `trust_domain` is `example.org`: whose certificate authority vouches for the name.
    `path` is `gateway`: who it is there. A workload always has one.
    """

    trust_domain: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an ID by the strict rules of the SPIFFE-ID specification, section 2.

        Nothing is normalised: two different texts are never the same ID. Raises `SpiffeIdError`.
        """
        if not text.startswith(_SCHEME):
            raise SpiffeIdError(f"A SPIFFE ID begins with {_SCHEME}: {text[:100]!r} does not.")
        if len(text) > _MAX_BYTES:
            raise SpiffeIdError(f"A SPIFFE ID has at most {_MAX_BYTES} bytes.")
        trust_domain, _, path = text.removeprefix(_SCHEME).partition("/")
        if not _TRUST_DOMAIN.fullmatch(trust_domain):
            raise SpiffeIdError(
                "A trust domain is 1 to 255 of a-z, 0-9, '.', '-' and '_': "
                f"{trust_domain[:100]!r} is not."
            )
        for segment in path.split("/"):
            if not _PATH_SEGMENT.fullmatch(segment) or segment in {".", ".."}:
                raise SpiffeIdError(
                    "A SPIFFE ID ends in a path such as /gateway, whose segments are made of "
                    f"A-Z, a-z, 0-9, '.', '-' and '_': {text[:100]!r} does not."
                )
        return cls(trust_domain, path)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}/{self.path}"
