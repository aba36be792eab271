"""An endpoint under examination: how it is asked, and what it answered.

All the checks of a live endpoint look at this record; none of them opens a connection but the last.
"""

import datetime as dt
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from mtls.certificates import Role

from cryptography import x509

from doctor.calls import Protocol, question_for
from doctor.chain import Chain
from doctor.connection import Attempt, Target, converse
from doctor.files import readable_certificate
from doctor.messages import server_certificates
from doctor.rehearsal import Credentials, verifying_client


@dataclass(frozen=True, slots=True)
class Plan:
    """What to examine: `credentials` is None for a client that has no certificate.

    `timeout` is in seconds, `roots` are the CAs to trust, `protocol` and `path` what to ask for.
    """

    target: Target
    roots: tuple[x509.Certificate, ...]
    credentials: Credentials | None = None
    protocol: Protocol = Protocol.ANY
    path: str = "/"
    timeout: float = 5.0
    is_strict: bool = True
    revocation_lists: tuple[x509.CertificateRevocationList, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What was seen. `seen` is the attempt with our certificate, `bare` that without one.

    `server` is what the server presented, unverified; `damage` says why it cannot be read.
    `not_loaded` says why OpenSSL did not take our certificate, so that we had none to show.
    `own_failures` are the ids of what failed already in our own files.
    """

    plan: Plan
    seen: Attempt
    bare: Attempt
    server: Chain
    damage: str = ""
    not_loaded: str = ""
    own_failures: tuple[str, ...] = ()

    @property
    def has_certificate(self) -> bool:
        """Whether we had one to show."""
        return self.plan.credentials is not None


def examine(plan: Plan, own_failures: Iterable[str] = ()) -> Endpoint:
    """Connect with our certificate and, if the first attempt got that far, without one."""
    context, not_loaded = verifying_client(plan.roots, is_strict=plan.is_strict), ""
    try:
        if plan.credentials:
            plan.credentials.load_into(context)
    except ssl.SSLError as error:
        not_loaded = error.reason or str(error)
    seen = bare = _try(plan, context)
    if plan.credentials and not not_loaded and seen.is_finished:
        bare = _try(plan, verifying_client(plan.roots, is_strict=plan.is_strict))
    server, damage = _server_chain(plan, seen)
    return Endpoint(plan, seen, bare, server, damage, not_loaded, tuple(own_failures))


def _try(plan: Plan, context: ssl.SSLContext) -> Attempt:
    question = question_for(plan.protocol, plan.target, plan.path)
    return converse(plan.target, context, question, plan.timeout)


def _server_chain(plan: Plan, seen: Attempt) -> tuple[Chain, str]:
    presented, damage = server_certificates(seen.messages), ""
    certificates: list[x509.Certificate] = []
    for der in presented or ():
        try:
            certificates.append(readable_certificate(der))
        except ValueError as error:
            damage = damage or f"certificate {len(certificates) + 1}: {error}"
    chain = Chain(
        tuple(certificates),
        plan.roots,
        frozenset({Role.SERVER}),
        dt.datetime.now(dt.UTC),
        str(plan.target),
        plan.target.server_hostname,
        is_strict=plan.is_strict,
    )
    return chain, damage
