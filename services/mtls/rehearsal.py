"""Handshakes with new files before they are used: what loads may still be refused by every peer.

Each takes the identity that is to come, and raises `IdentityError` with the reason. They go as far
as its role allows: nobody but a CA can make the certificate of the peer.
"""

import datetime as dt
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from mtls.certificates import extension_of
from mtls.identity import Identity, IdentityError
from mtls.ssl_contexts import client_context, server_context

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_SECONDS: Final = 5.0
_ROUNDS: Final = 4  # a handshake of TLS 1.3 has two
_STAND_IN: Final = "rehearsal.invalid"  # RFC 6761, section 6.4


def rehearse_http_server(identity: Identity) -> None:
    """Have OpenSSL serve with the new files, to a client that trusts the same CA."""
    _shake_hands(
        client_context(identity), server_context(identity), _name_of(identity), server_is_ours=True
    )


def rehearse_client(identity: Identity) -> None:
    """Have OpenSSL verify our certificate as a client's, as a server of the same CA does."""
    chain_pem, key_pem = _stand_in()
    client = client_context(identity)
    client.load_verify_locations(cadata=chain_pem.decode("ascii"))
    client.verify_flags &= ~ssl.VERIFY_CRL_CHECK_LEAF  # the stand-in has no issuer to list it
    server = server_context(identity, shown=(chain_pem, key_pem))
    _shake_hands(client, server, _STAND_IN, server_is_ours=False)


def rehearse_grpc_client(identity: Identity) -> None:
    """Verify our certificate as a client's, and that gRPC can use its key."""
    _check_grpc_key(identity)
    rehearse_client(identity)


def rehearse_grpc_server(identity: Identity) -> None:
    """Have gRPC serve with the new files on a loopback socket of its own, to a client of gRPC."""
    _check_grpc_key(identity)
    from mtls.grpc_client import channel_credentials

    import grpc

    pair = [(identity.key_pem, identity.chain_pem)]
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        try:
            # It asks for no client certificate: ours may be for servers only.
            port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
            server.start()
            options = [
                ("grpc.default_authority", _name_of(identity)),
                ("grpc.use_local_subchannel_pool", 1),
            ]
            target = f"ipv4:127.0.0.1:{port}"
            with grpc.secure_channel(target, channel_credentials(identity), options) as channel:
                grpc.channel_ready_future(channel).result(_SECONDS)
        except (RuntimeError, grpc.FutureTimeoutError) as error:
            raise IdentityError(
                f"{identity.folder}: a gRPC client of the same CA refuses this certificate as a "
                "server's. Have it issued again."
            ) from error
        finally:
            server.stop(None)


def _check_grpc_key(identity: Identity) -> None:
    """Require a key that gRPC's TLS library can sign with; others load, and every handshake fails.

    Seen with grpcio 1.85: Ed25519 and P-521 are accepted by the constructor alone.
    """
    match identity.certificate.public_key():
        case rsa.RSAPublicKey():
            return
        case ec.EllipticCurvePublicKey() as key if isinstance(
            key.curve, ec.SECP256R1 | ec.SECP384R1
        ):
            return
    raise IdentityError(
        f"{identity.folder}: gRPC can use the keys RSA, P-256 and P-384 only. "
        "Have the certificate issued again with such a key."
    )


def _shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str, *, server_is_ours: bool
) -> None:
    """Shake hands in memory until the side that verifies our certificate has done so."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    verifier = ends[0] if server_is_ours else ends[1]
    for _ in range(_ROUNDS):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                text = getattr(error, "verify_message", None) or error.reason
                kind = "server" if server_is_ours else "client"
                raise IdentityError(
                    f"A peer of the same CA refuses the new files as a {kind}'s: {text}. "
                    "Have the certificate issued again, or copy the CA and its list again."
                ) from error
            if end is verifier:
                return
    raise IdentityError("A handshake with the new files does not come to an end.")


def _name_of(identity: Identity) -> str:
    """Return a name by which a client may call us: without one, none accepts us."""
    if names := extension_of(identity.certificate, x509.SubjectAlternativeName):
        if found := names.get_values_for_type(x509.DNSName):
            return found[0].replace("*", "rehearsal")
        if addresses := names.get_values_for_type(x509.IPAddress):
            return str(addresses[0])
    raise IdentityError(
        f"{identity.folder}: the certificate names no host, so that no client accepts it as a "
        "server's. Have it issued again with the DNS names that clients call."
    )


def _stand_in() -> tuple[bytes, bytes]:
    """Return a certificate for a server that exists in this process alone, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_STAND_IN)]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
