"""What the doctor can be asked for, each as one table of checks after the other."""

import datetime as dt
import ssl
from dataclasses import dataclass, replace
from typing import Final

from mtls.certificates import Role, extension_of

from cryptography import x509

from doctor.ca_checks import CA_CHECKS
from doctor.call_checks import CALL_CHECKS
from doctor.calls import Protocol, question_for
from doctor.chain import Chain
from doctor.checks import Check, Examination, Finding, Result
from doctor.client_checks import CLIENT_CHECKS
from doctor.connection import Attempt, Target, converse
from doctor.date_checks import DATE_CHECKS
from doctor.endpoint import Plan, examine
from doctor.file_checks import FILE_CHECKS, REVOCATION_CHECKS
from doctor.files import Files, UsageError, system_roots
from doctor.name_checks import NAME_CHECKS
from doctor.network_checks import NETWORK_CHECKS
from doctor.path_checks import PATH_CHECKS
from doctor.purpose_checks import OID, PURPOSE_CHECKS
from doctor.rehearsal import REHEARSAL, STARTS, Credentials, Start, verifying_client
from doctor.server_checks import PRESENTED, REVOKED, VERIFIED
from doctor.strength_checks import GRPC_CHECKS, STRENGTH_CHECKS
from doctor.strict_checks import STRICT_CHECKS

# Everything that can be wrong with a certificate, ours or a server's, in order.
CHAIN_CHECKS: Final[tuple[Check[Chain], ...]] = (
    *PATH_CHECKS,
    *DATE_CHECKS,
    *PURPOSE_CHECKS,
    *NAME_CHECKS,
    *STRENGTH_CHECKS,
    *CA_CHECKS,
    *STRICT_CHECKS,
)


@dataclass(frozen=True, slots=True)
class Request:
    """How to examine: `roots` stand in if the files have no CA, `timeout` is in seconds, `roles`
    are what the certificate is used for, and `tls` limits a handshake to one version."""

    roots: tuple[x509.Certificate, ...] = ()
    roles: frozenset[Role] = frozenset()
    name: str = ""
    protocol: Protocol = Protocol.ANY
    path: str = "/"
    timeout: float = 5.0
    is_strict: bool = True
    tls: ssl.TLSVersion | None = None


def check_files(files: Files, request: Request) -> Examination:
    """Look at certificate files."""
    examination = Examination()
    if credentials := _check_own(examination, files, request, _OWN_STEPS):
        examination.run("The verdict", REHEARSAL, credentials, "own.")
        if files.folder and not examination.failures():
            chain, is_for_grpc = credentials.chain, request.protocol is Protocol.GRPC
            start = Start(files.folder, files.certificate.path, chain.roles, is_for_grpc)
            examination.run("The verdict", STARTS, (start, chain), "own.")
    return examination


def check_endpoint(target: Target, files: Files | None, request: Request) -> Examination:
    """Go through a live endpoint, and before that through our own files, if there are any."""
    examination = Examination()
    as_client = replace(request, roles=frozenset({Role.CLIENT}), name="")
    own = _check_own(examination, files, as_client, _OWN_STEPS_AS_CLIENT) if files else None
    own_failures = [checked.id for checked in examination.failures()]
    plan = Plan(
        target,
        _roots(files, request),
        own,
        request.protocol,
        request.path,
        request.timeout,
        request.is_strict,
        _revocation_lists(examination, files),
    )
    endpoint = examine(plan, own_failures)
    examination.run("The way there", NETWORK_CHECKS, endpoint)
    examination.run("The server's certificate", PRESENTED, endpoint)
    examination.run("The server's certificate", _SERVER_STEPS, endpoint.server, "server.")
    if request.protocol is Protocol.GRPC:
        examination.run("The server's certificate", GRPC_CHECKS, endpoint.server, "server.")
    examination.run("The server's certificate", VERIFIED, endpoint)
    if plan.revocation_lists:
        examination.run("The server's certificate", REVOKED, endpoint)
    examination.run("Mutual", CLIENT_CHECKS, endpoint)
    examination.run("The call", CALL_CHECKS, endpoint)
    return examination


def shake_hands(
    target: Target, files: Files | None, request: Request, *, with_secrets: bool = False
) -> Attempt:
    """Connect once, for what is said. Raises `UsageError` if our own files do not allow it."""
    context = verifying_client(_roots(files, request), is_strict=request.is_strict)
    if request.tls:
        context.minimum_version = context.maximum_version = request.tls
    if files:
        examination = Examination()
        if not (credentials := _check_own(examination, files, request, ())):
            finding = examination.failures()[0].finding
            raise UsageError(f"{finding.detail} {finding.fix}")
        try:
            credentials.load_into(context)
        except ssl.SSLError as error:
            raise UsageError(f"OpenSSL does not load the certificate: {error.reason}.") from error
    question = question_for(request.protocol, target, request.path)
    return converse(target, context, question, request.timeout, with_secrets=with_secrets)


def _check_own(
    examination: Examination, files: Files, request: Request, steps: tuple[Check[Chain], ...]
) -> Credentials | None:
    """Look at the files and the certificate in them; return what they hold if it can be used."""
    examination.run("The files", FILE_CHECKS, files)
    if files.revoked:
        examination.run("The files", REVOCATION_CHECKS, files)
    is_loaded = examination.result_of("files.format") in {Result.OK, Result.NOTE}
    certificates = files.certificates if is_loaded else ()
    chain = Chain(
        certificates,
        files.roots if is_loaded else (),
        request.roles or _roles_of(certificates),
        dt.datetime.now(dt.UTC),
        str(files.certificate.path),
        request.name,
        is_strict=request.is_strict,
    )
    examination.run("The certificate", steps, chain, "own.")
    if request.protocol is Protocol.GRPC:
        examination.run("The certificate", GRPC_CHECKS, chain, "own.")
    if examination.result_of("key.fits") is not Result.OK:
        return None
    return Credentials(chain, files.private_key)


def _roles_of(certificates: tuple[x509.Certificate, ...]) -> frozenset[Role]:
    """Return what a leaf says that it is for; both if it says neither."""
    usages = extension_of(certificates[0], x509.ExtendedKeyUsage) if certificates else None
    said = frozenset(role for role, oid in OID.items() if usages and oid in usages)
    return said or frozenset(Role)


def _roots(files: Files | None, request: Request) -> tuple[x509.Certificate, ...]:
    """Return the CAs to trust for the server. A CA file that cannot be read has failed a check."""
    try:
        own = files.roots if files else ()
    except ValueError:
        return ()
    return own or request.roots or system_roots()


def _revocation_lists(
    examination: Examination, files: Files | None
) -> tuple[x509.CertificateRevocationList, ...]:
    """Return the folder's revocation lists, if they can be used."""
    is_usable = examination.result_of("files.revoked") is not Result.FAILED
    try:
        return files.revocation_lists if files and is_usable else ()
    except ValueError:
        return ()


def _soften(check: Check[Chain]) -> Check[Chain]:
    """Make a note of a failure: a server may trust another CA for its clients than its own."""

    def look(chain: Chain) -> Finding:
        finding = check.look(chain)
        if finding.result is not Result.FAILED:
            return finding
        detail = f"{finding.detail} The CA given is the server's; for clients it may trust others."
        return replace(finding, result=Result.NOTE, detail=detail)

    return replace(check, look=look)


_OWN_STEPS: Final = tuple(
    replace(check, needs=(*check.needs, "files.format")) for check in CHAIN_CHECKS
)
_OWN_STEPS_AS_CLIENT: Final = tuple(
    _soften(check) if check.id == "root" else check for check in _OWN_STEPS
)
_SERVER_STEPS: Final = tuple(
    replace(
        check,
        needs=(*check.needs, "server.presented", *(["files.format"] if check.id == "root" else [])),
    )
    for check in CHAIN_CHECKS
)
