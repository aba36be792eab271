"""Is it mutual: does the server ask for our certificate, require it, and accept it."""

from typing import Final

from doctor.calls import Protocol, parse_response, refusal_of
from doctor.chain import join
from doctor.checks import Check, Finding, failed, note, ok, skipped
from doctor.codes import SIGNATURES, TLS_1_3, listed
from doctor.endpoint import Endpoint
from doctor.messages import certificate_request, has_presented

_NO_CERTIFICATE: Final = "no client certificate was given: --identity, --cert or --pkcs12"
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN = 400, 401, 403


def _asked(endpoint: Endpoint) -> Finding:
    if certificate_request(endpoint.seen.messages) is not None:
        return ok("It asks for a client certificate: this is mutual TLS.")
    if not endpoint.seen.is_finished and endpoint.seen.hello_version != TLS_1_3:
        return skipped("in TLS 1.2 a server asks only after its own certificate was accepted")
    return failed(
        "THIS IS TLS, NOT MUTUAL TLS: the server never asks for a client certificate. It lets "
        "in every client, and never sees a certificate of ours.",
        "Make the server ask: gRPC require_client_auth=True, Python verify_mode=ssl.CERT_REQUIRED, "
        "nginx `ssl_verify_client on`. (A server may ask later, for some paths only; that, "
        "TLS 1.3's post-handshake authentication, is not seen here.)",
    )


def _authorities(endpoint: Endpoint) -> Finding:
    request = certificate_request(endpoint.seen.messages)
    if request is None or not request.authorities:
        return skipped("it names none, so which CAs it trusts cannot be known from here")
    named = f"It asks for certificates of: {join(request.authorities)}."
    if not (credentials := endpoint.plan.credentials):
        return ok(named)
    wanted = {authority.der for authority in request.authorities}
    if any(each.issuer.public_bytes() in wanted for each in credentials.chain.certificates):
        return ok(f"{named} Ours is from one of them.")
    ours = credentials.chain.leaf.issuer.rfc4514_string()
    return note(
        f'{named} Ours is from "{ours}", and what we send with it leads to none of them. Browsers '
        "and Java do not even offer such a certificate.",
        "Show a certificate from a CA that the server names, with the issuing CA behind the leaf.",
    )


def _accepted(endpoint: Endpoint) -> Finding:
    if not endpoint.has_certificate:
        return skipped(_NO_CERTIFICATE)
    if endpoint.not_loaded:
        return failed(
            f"OpenSSL does not load our certificate: {endpoint.not_loaded}.",
            "Fix what failed above, in our own files.",
        )
    seen = endpoint.seen
    if seen.is_finished and not has_presented(seen.messages):
        request = certificate_request(seen.messages)
        algorithms = listed(request.signature_algorithms if request else (), SIGNATURES, 20)
        return failed(
            f"We could send none: our key makes none of the signatures asked for: {algorithms}.",
            "Use a key of another type, ECDSA P-256 for instance.",
        )
    if refusal := refusal_of(seen):
        hint = f" Look at what failed above: {join(endpoint.own_failures)}."
        is_maybe_grpc = endpoint.plan.protocol is Protocol.HTTP and not seen.alpn
        return failed(
            refusal.cause + (hint if endpoint.own_failures else ""),
            refusal.fix + (" It may be a gRPC port: ask with --grpc." if is_maybe_grpc else ""),
        )
    if seen.answer:
        return ok("The server sent data after reading our certificate.")
    if seen.has_ticket or seen.hello_version != TLS_1_3:
        return note(
            "The server finished the handshake with our certificate. Most have accepted it then; "
            "some, nginx among them, refuse only in their HTTP answer. To be sure, add --http."
        )
    return note(
        "The server has not refused our certificate, but said nothing either. To be sure, have it "
        "answer something: add --http or --grpc."
    )


def _required(endpoint: Endpoint) -> Finding:
    bare = endpoint.bare
    if not bare.is_finished and not bare.messages:
        return skipped("the second connection, without a certificate, could not be made")
    if refusal := refusal_of(bare):
        return ok(f"Without a certificate: {refusal.cause}")
    response = parse_response(bare.answer)
    if response and response.status in {_UNAUTHORIZED, _FORBIDDEN}:
        return ok(f"Without a certificate, the answer is HTTP status {response.status}.")
    if response and response.status < _BAD_REQUEST:
        return failed(
            "THE CERTIFICATE IS NOT REQUIRED: the server asks for one and, shown none, answers "
            f"with HTTP status {response.status} all the same.",
            "Make the server require it: nginx `ssl_verify_client on`, not `optional`, Python "
            "verify_mode=ssl.CERT_REQUIRED.",
        )
    if bare.answer or bare.has_ticket or bare.hello_version != TLS_1_3:
        return note(
            "A client without certificate gets through the handshake. Whether it is refused "
            "later, call by call, has to be tried"
            + (" with --http." if endpoint.plan.protocol is Protocol.ANY else "."),
        )
    return note(
        "A client without certificate was not refused, and got no answer either. To be sure, have "
        "the server answer something: add --http or --grpc."
    )


CLIENT_CHECKS: Final = (
    Check(
        "client.asked",
        "The server asks for a client certificate",
        _asked,
        ("server.presented",),
    ),
    Check(
        "client.authorities",
        "Our certificate is from a CA that it names",
        _authorities,
        ("client.asked",),
    ),
    Check(
        "client.accepted",
        "It accepts our certificate",
        _accepted,
        ("key.fits", "server.verified", "client.asked"),
    ),
    Check(
        "client.required",
        "It refuses a client without certificate",
        _required,
        ("server.verified", "client.asked"),
    ),
)
