"""Group 3: the files on your own machine."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from demo_identities import IDENTITIES
from pki.authority import Authority, Issued
from pki.layout import CHAIN, KEY_PAIR, PRIVATE_KEY, ROOT_CERTIFICATE
from pki.pem import certificate_pem
from tests.failures.failure import Failure
from tests.failures.lab import CLIENT, Arrange, Case, Lab
from tests.failures.material import client_of

_CHECK: Final = ("check",)
_KEY, _CHAIN, _PAIR, _CA = (file.name for file in (PRIVATE_KEY, CHAIN, KEY_PAIR, ROOT_CERTIFICATE))


def _spoilt(spoil: Callable[[Path, Authority], object]) -> Arrange:
    """Call the honest server with honest files, after something was done to them."""

    @contextmanager
    def arrange(lab: Lab) -> Iterator[Case]:
        client = lab.client()
        spoil(client.folder, lab.authority)
        with lab.case(client) as case:
            yield case

    return arrange


def _write(folder: Path, *, key: bytes = b"", chain: bytes = b"") -> None:
    """Replace the key, the chain, or both, in both places where they lie."""
    key = key or (folder / _KEY).read_bytes()
    chain = chain or (folder / _CHAIN).read_bytes()
    for name, content in ((_KEY, key), (_CHAIN, chain), (_PAIR, key + chain)):
        (folder / name).write_bytes(content)


def _remove(folder: Path, _: Authority) -> None:
    for name in (_KEY, _PAIR):
        (folder / name).unlink()


def _other_key(folder: Path, ours: Authority) -> None:
    _write(folder, key=ours.issue(CLIENT).key_pem)


def _encrypt(folder: Path, _: Authority) -> None:
    key = load_pem_private_key((folder / _KEY).read_bytes(), None)
    encryption = BestAvailableEncryption(b"secret")
    said = ""
    while "bad decrypt" not in said:  # the padding shows it, but for one wrong password in 256
        _write(folder, key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        command = ["openssl", "pkey", "-in", str(folder / _KEY), "-passin", "pass:"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr


def _open_to_others(folder: Path, _: Authority) -> None:
    for name in (_KEY, _PAIR):
        (folder / name).chmod(0o644)


def _swap(folder: Path, _: Authority) -> None:
    key, chain = (folder / _KEY).read_bytes(), (folder / _CHAIN).read_bytes()
    (folder / _KEY).write_bytes(chain)
    (folder / _CHAIN).write_bytes(key)
    (folder / _PAIR).write_bytes(chain)


def _der(folder: Path, ours: Authority) -> None:
    issued = ours.issue(CLIENT)
    key = load_pem_private_key(issued.key_pem, None)
    _write(
        folder,
        key=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        chain=issued.certificate.public_bytes(Encoding.DER),
    )


def _cut_off(folder: Path, _: Authority) -> None:
    chain = (folder / _CHAIN).read_bytes()
    _write(folder, chain=chain[:300])


def _utf_16(folder: Path, _: Authority) -> None:
    for name in (_KEY, _CHAIN, _PAIR):
        (folder / name).write_text((folder / name).read_text(), encoding="utf-16")


def _issuer_first(folder: Path, ours: Authority) -> None:
    chain = (folder / _CHAIN).read_bytes()
    issuing = certificate_pem(ours.issuing.certificate)
    _write(folder, chain=issuing + chain.removesuffix(issuing))


def _no_issuer(folder: Path, ours: Authority) -> None:
    chain = (folder / _CHAIN).read_bytes()
    _write(folder, chain=chain.removesuffix(certificate_pem(ours.issuing.certificate)))


def _issuing_as_root(folder: Path, ours: Authority) -> None:
    (folder / _CA).write_bytes(certificate_pem(ours.issuing.certificate))


def _empty_ca(folder: Path, _: Authority) -> None:
    (folder / _CA).write_bytes(b"")


def _other_ca(folder: Path, _: Authority) -> None:
    (folder / _CA).write_bytes(Authority.create(IDENTITIES).ca_pem)


def _own_leaf_as_ca(folder: Path, ours: Authority) -> None:
    issued = ours.issue(CLIENT)
    _write(folder, key=issued.key_pem, chain=issued.chain_pem)
    (folder / _CA).write_bytes(certificate_pem(issued.certificate))


def _short_key(folder: Path, ours: Authority) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    issued: Issued = client_of(ours, key=key)
    _write(folder, key=issued.key_pem, chain=issued.chain_pem)


@contextmanager
def _wrong_path(lab: Lab) -> Iterator[Case]:
    with lab.case(replace(lab.client(), ca="ca.crt")) as case:
        yield case


FAILURES: Final = (
    Failure(
        title="The key is not there",
        did="The private key is missing: a volume that is not mounted, a secret that was not "
        "copied.",
        why="Each library names the file, or only the failure; gRPC is given bytes, so it is your "
        "own `open` that fails.",
        fix="Put it there, readable by the one user who runs the program.",
        arrange=_spoilt(_remove),
        examine=_CHECK,
        doctor="files.readable",
    ),
    Failure(
        title="The CA's file is not where you say",
        did="You give a wrong path for the CA's certificate.",
        why="As above. Python's error does not say which file it missed.",
        fix="Correct the path.",
        arrange=_wrong_path,
        unseen="the doctor was given the right path",
    ),
    Failure(
        title="The key of another certificate",
        did="You renewed the certificate and kept the old key, or mixed up two folders.",
        why="The public key in the certificate is not that of the private key.",
        fix="Put key and certificate of one issue side by side, best in one file, so that one "
        "rename replaces both.",
        arrange=_spoilt(_other_key),
        examine=_CHECK,
        doctor="key.fits",
    ),
    Failure(
        title="The key is encrypted",
        did="The private key has a password, and a service has nobody to ask for it.",
        why="Python and OpenSSL would ask at the terminal; where there is none they fail, in "
        "words that differ by version.",
        fix="`openssl pkey -in private-key.pem -out plain.pem`, at mode 0600; or take the key "
        "from a secret store.",
        arrange=_spoilt(_encrypt),
        examine=("check", "--password-file", "/dev/null"),
        doctor="key.encrypted",
    ),
    Failure(
        title="Everybody may read the key",
        did="The private key is at mode 0644.",
        why="Nothing fails: no library looks. But whoever can log in to the machine can now be "
        "you. `services/mtls` refuses to start with such a file.",
        fix="`chmod 600`, and have the certificate issued again with a new key: this one was "
        "exposed.",
        arrange=_spoilt(_open_to_others),
        refused=(),
        examine=_CHECK,
        doctor="key.permissions",
    ),
    Failure(
        title="Key and certificate exchanged",
        did="The key is in the certificate's file and the certificate in the key's.",
        why="In each file the library looks for one kind of PEM block and finds another.",
        fix="Exchange them.",
        arrange=_spoilt(_swap),
        examine=_CHECK,
        doctor="files.format",
    ),
    Failure(
        title="DER, not PEM",
        did="The files are binary (DER): what some CAs hand out as `.cer`.",
        why="The libraries are told to read PEM, which is DER in base64 between two lines.",
        fix="`openssl x509 -inform der -in file.cer -out certificate.crt`; for the key `openssl "
        "pkey`.",
        arrange=_spoilt(_der),
        examine=_CHECK,
        doctor="files.format",
        refused=("aiohttp", "gRPC", "curl"),  # openssl reads DER, and its leaf alone is accepted
    ),
    Failure(
        title="A file that was cut off",
        did="The certificate ends in the middle: a full disk, a copy that broke off, a "
        "half-written renewal.",
        why="The END line is missing, so there is no certificate.",
        fix="Copy it again; write to a temporary name and rename.",
        arrange=_spoilt(_cut_off),
        examine=_CHECK,
        doctor="files.format",
    ),
    Failure(
        title="UTF-16, from a Windows shell",
        did="You wrote the files with `>` in Windows PowerShell 5, which writes UTF-16.",
        why="To a library that looks for the ASCII of `-----BEGIN` there is none.",
        fix="`iconv -f utf-16 -t ascii`, and copy files as they are next time.",
        arrange=_spoilt(_utf_16),
        examine=_CHECK,
        doctor="files.format",
    ),
    Failure(
        title="The chain is upside down",
        did="The issuing CA's certificate comes first in the file, and the leaf after it.",
        why="The first certificate is taken for yours (RFC 8446, section 4.4.2), and your key is "
        "not the CA's.",
        fix="Put the leaf first, and behind each its issuer.",
        arrange=_spoilt(_issuer_first),
        examine=_CHECK,
        doctor="own.order",
    ),
    Failure(
        title="The chain is not complete",
        did="Your file has the leaf and not the issuing CA.",
        why="It is read without a complaint. That it is too short shows at a server that cannot "
        "verify you. Our HTTP server has the same issuing CA at hand, and gRPC's has not.",
        fix="Add the issuing CA's certificate below the leaf.",
        arrange=_spoilt(_no_issuer),
        refused=("gRPC",),
        says=("", "unknown_ca"),
        examine=_CHECK,
        doctor="own.root",
    ),
    Failure(
        title="The issuing CA in place of the root",
        did="You trust the issuing CA's certificate and not the root's.",
        why="Is a CA that is no root an anchor? OpenSSL says no, and wants the root. BoringSSL "
        "and curl are told yes (`X509_V_FLAG_PARTIAL_CHAIN`), and Python is from 3.13 on.",
        fix="Trust the root.",
        arrange=_spoilt(_issuing_as_root),
        refused=("openssl",) if sys.version_info >= (3, 13) else ("aiohttp", "openssl"),
        examine=_CHECK,
        doctor="own.root",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="The CA's file is empty",
        did="The file of trusted CAs has nothing in it.",
        why="Nobody is trusted. Not every library says so at once.",
        fix="Put the root's certificate there.",
        arrange=_spoilt(_empty_ca),
        examine=_CHECK,
        doctor="files.readable",
    ),
    Failure(
        title="The CA of another environment",
        did="You trust the root of staging, and dial production.",
        why="The server's chain does not lead to your root.",
        fix="Put the root of this environment there. Roots that are all named alike are told "
        "apart by their fingerprints.",
        arrange=_spoilt(_other_ca),
        examine=_CHECK,
        doctor="own.root",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="Your own certificate in place of the CA's",
        did="You trust your own leaf: one file was taken for the other.",
        why="Your leaf issued nothing. The server's chain leads elsewhere.",
        fix="Put the root's certificate there.",
        arrange=_spoilt(_own_leaf_as_ca),
        examine=_CHECK,
        doctor="own.root",
        says=("refused_by_peer", ""),
    ),
    Failure(
        title="A key that is too short",
        did="Your certificate has an RSA key of 1,024 bits.",
        why="OpenSSL's security level 2, Debian's default, asks for 2,048 and does not load less. "
        "BoringSSL, in gRPC, has no such rule.",
        fix="Make a new key: ECDSA P-256, or RSA of 2,048 bits or more.",
        arrange=_spoilt(_short_key),
        refused=("aiohttp", "curl", "openssl"),
        examine=_CHECK,
        doctor="own.strength",
    ),
)
