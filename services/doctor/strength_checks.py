"""Keys that are long enough and signatures that cannot be forged, for every library."""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from doctor.chain import Chain, describe, is_issued_by
from doctor.checks import Check, Finding, failed, note, ok

_RSA_BITS: Final = 2048  # NIST SP 800-131A; OpenSSL's level 2 too
_EVERYWHERE: Final = ("secp256r1", "secp384r1", "secp521r1")
_NEW_KEY: Final = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out new-key.pem"


def _keys(chain: Chain) -> Finding:
    said = []
    rare = ""
    for certificate in chain.path:
        weakness, kind = _judge(certificate)
        if weakness and certificate is not chain.leaf and not _is_short(certificate):
            rare = (
                rare or f"{describe(certificate)} has {kind}: {weakness}, and others may refuse it."
            )
        elif weakness:
            return failed(
                f"{describe(certificate)} has {kind}: {weakness}.",
                "Make a new key, ECDSA P-256 for instance, and have a certificate issued for it.",
                _NEW_KEY,
            )
        said.append(kind)
    if rare:
        return note(rare)
    if isinstance(chain.leaf.public_key(), ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return note(f"{', '.join(said)}: gRPC (BoringSSL) and browsers do not take such a leaf.")
    return ok(", ".join(said))


def _for_grpc(chain: Chain) -> Finding:
    _, kind = _judge(chain.leaf)
    match chain.leaf.public_key():
        case rsa.RSAPublicKey():
            is_known = True
        case ec.EllipticCurvePublicKey(curve=curve):
            is_known = curve.name in {"secp256r1", "secp384r1"}
        case _:
            is_known = False
    if is_known:
        return ok(f"{describe(chain.leaf)} has {kind}.")
    return failed(
        f"{describe(chain.leaf)} has {kind}. gRPC (BoringSSL) serves RSA, P-256 and P-384 leaves "
        "only, and accepts no others from clients: every handshake fails.",
        "Make a new key, ECDSA P-256 for instance, and have a certificate issued for it.",
        _NEW_KEY,
    )


def _is_short(certificate: x509.Certificate) -> bool:
    """Whether it has an RSA key that is too short, which OpenSSL refuses of a CA too."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return True
    return isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey) and key.key_size < _RSA_BITS


def _judge(certificate: x509.Certificate) -> tuple[str, str]:
    """Return what is wrong with the key, if anything, and what key it is."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "no TLS library is sure to know it", "a key of unknown kind"
    match key:
        case rsa.RSAPublicKey(key_size=bits):
            too_short = f"OpenSSL refuses less than {_RSA_BITS} bits, gRPC alone might not"
            return too_short if bits < _RSA_BITS else "", f"an RSA key of {bits} bits"
        case ec.EllipticCurvePublicKey(curve=curve):
            rare = "TLS 1.3 knows P-256, P-384 and P-521 only (RFC 8446, section 4.2.3)"
            return "" if curve.name in _EVERYWHERE else rare, f"an EC key on {curve.name}"
        case ed25519.Ed25519PublicKey():
            return "", "an Ed25519 key"
        case ed448.Ed448PublicKey():
            return "", "an Ed448 key"
        case dsa.DSAPublicKey():
            return "TLS 1.3 has no DSA (RFC 8446, section 4.2.3)", "a DSA key"
        case _:
            return "it cannot sign a handshake", f"a key of kind {type(key).__name__}"


def _signatures(chain: Chain) -> Finding:
    names = set()
    for certificate in chain.path:
        if is_issued_by(certificate, certificate):
            continue  # a root is trusted because it is in the CA file, not for its signature
        name = _hash_name(certificate)
        if name in {"sha1", "md5"}:
            return failed(
                f"{describe(certificate)} is signed with {name}, which can be forged: "
                "OpenSSL and browsers refuse it.",
                "Have it issued again with SHA-256 or better.",
                "openssl x509 -req -sha256 ...",
            )
        names.add(name)
    return ok(", ".join(sorted(names)) or "Only its own signature, which does not count.")


def _hash_name(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return f"algorithm {certificate.signature_algorithm_oid.dotted_string}"
    if isinstance(algorithm, hashes.HashAlgorithm):
        return algorithm.name
    return "the hash of its own curve"  # Ed25519, Ed448


STRENGTH_CHECKS: Final = (
    Check("strength", "The keys are long enough", _keys),
    Check("signature", "The signatures are not made with SHA-1 or MD5", _signatures),
)
# For gRPC alone.
GRPC_CHECKS: Final = (Check("grpc", "gRPC can use the leaf's key", _for_grpc, ("strength",)),)
