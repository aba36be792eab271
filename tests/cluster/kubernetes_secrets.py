"""The Secrets that cert-manager would make of the Certificates, and a pod's folder of them.

It stands in for cert-manager's CA issuer and for the kubelet. What it does, and where they do it:

- `tls.crt` is the leaf and its issuers without the root, `ca.crt` the last that is known:
  https://github.com/cert-manager/cert-manager/blob/v1.21.2/pkg/util/pki/parse_certificate_chain.go
- A subject that is empty makes the names critical: crypto/x509 of Go.
- A mounted Secret is root's and the pod's fsGroup's, behind links that are renamed in one step:
  https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/volume/util/atomic_writer.go
"""

import datetime as dt
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.kubernetes.manifests import Manifest
from tests.unit.doctor.material import key_usage

Secret = Mapping[str, bytes]

_PURPOSES: Final = {
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
}
_KEY_USAGES: Final = {
    "digital signature": "digital_signature",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
}


@dataclass(frozen=True, slots=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: Sequence[x509.Certificate]  # its issuers, the root last


@dataclass(slots=True)
class CertManager:
    """Issues what the manifests ask for, each Certificate once; `renew` makes leaves anew."""

    manifests: Sequence[Manifest]
    _issued: dict[str, _Issued] = field(default_factory=dict)

    def secret(self, name: str) -> Secret:
        """Return the Secret of this name. Raises KeyError."""
        issued = self._issued.get(name) or self._issue(name)
        chain = [issued.certificate, *issued.above]
        shown = chain[:-1] or chain
        # The Secret of an intermediate CA does not hold the root: its leaves' `ca.crt` is that CA.
        anchor = chain[1] if len(chain) > 1 else chain[0]
        return {
            "tls.crt": b"".join(each.public_bytes(Encoding.PEM) for each in shown),
            "tls.key": issued.key.private_bytes(
                Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
            ),
            "ca.crt": anchor.public_bytes(Encoding.PEM),
        }

    def renew(self) -> None:
        """Forget the leaves; the CAs stay."""
        for name in [name for name in self._issued if not self._spec(name).get("isCA")]:
            del self._issued[name]

    def _spec(self, secret: str) -> Mapping[str, Any]:
        return next(
            each["spec"]
            for each in self.manifests
            if each["kind"] == "Certificate" and each["spec"]["secretName"] == secret
        )

    def _issuer_of(self, spec: Mapping[str, Any]) -> _Issued | None:
        name = spec["issuerRef"]["name"]
        issuer = next(
            each["spec"]
            for each in self.manifests
            if each["kind"] == "Issuer" and each["metadata"]["name"] == name
        )
        if "selfSigned" in issuer:
            return None
        secret = issuer["ca"]["secretName"]
        return self._issued.get(secret) or self._issue(secret)

    def _issue(self, secret: str) -> _Issued:
        spec = self._spec(secret)
        issuer, key = self._issuer_of(spec), ec.generate_private_key(ec.SECP256R1())
        signer = issuer.key if issuer else key
        now = dt.datetime.now(dt.UTC)
        subject = _subject(spec)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + _duration(spec["duration"]))
        )
        for extension, is_critical in _extensions(spec, subject, key, signer):
            builder = builder.add_extension(extension, critical=is_critical)
        above = (issuer.certificate, *issuer.above) if issuer else ()
        self._issued[secret] = _Issued(builder.sign(signer, hashes.SHA256()), key, above)
        return self._issued[secret]


def _subject(spec: Mapping[str, Any]) -> x509.Name:
    organizations = spec.get("subject", {}).get("organizations", ())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    if name := spec.get("commonName"):
        names.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    return x509.Name(names)


def _extensions(
    spec: Mapping[str, Any],
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> Sequence[tuple[x509.ExtensionType, bool]]:
    is_ca = bool(spec.get("isCA"))
    usages = {_KEY_USAGES[each] for each in spec["usages"] if each in _KEY_USAGES}
    purposes = [_PURPOSES[each] for each in spec["usages"] if each in _PURPOSES]
    names = [
        *(x509.DNSName(each) for each in spec.get("dnsNames", ())),
        *(x509.UniformResourceIdentifier(each) for each in spec.get("uris", ())),
    ]
    found: list[tuple[x509.ExtensionType, bool]] = [
        (key_usage(*usages), True),
        (x509.BasicConstraints(ca=is_ca, path_length=None), True),
    ]
    if purposes:
        found.append((x509.ExtendedKeyUsage(purposes), False))
    if is_ca:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    if signer is not key:
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        found.append((by, False))
    if names:
        found.append((x509.SubjectAlternativeName(names), not list(subject)))
    return found


def _duration(text: str) -> dt.timedelta:
    match = re.fullmatch(r"(\d+)h", text)
    assert match, text
    return dt.timedelta(hours=int(match[1]))


def lay_down(folder: Path, volume: Mapping[str, Any], objects: Mapping[str, Secret]) -> None:
    """Make or renew the folder of a projected volume, as the kubelet does for fsGroup 10001.

    `objects` has the Secrets and ConfigMaps by name; only root can give files away.
    """
    number = len(list(folder.glob("..20*")))
    new = folder / f"..2026_{number}"
    new.mkdir(parents=True)
    for source in volume["sources"]:
        ((_, given),) = source.items()
        for item in given["items"]:
            path = new / item["path"]
            path.write_bytes(objects[given["name"]][item["key"]])
            path.chmod(volume["defaultMode"] | 0o440)  # fsGroup adds what its group needs
            os.chown(path, 0, 10001)
            if not (link := folder / item["path"]).is_symlink():
                link.symlink_to(f"..data/{item['path']}")
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").rename(folder / "..data")
