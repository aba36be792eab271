"""The doctor's exit code is 0 exactly when a service starts, and gRPC serves what it says."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.identity import IdentityError, load_identity
from mtls.rehearsal import rehearse_client, rehearse_http_server

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from doctor.command_line import main
from tests.mtls.patient import write
from tests.unit.doctor.material import HOUR, LEAF, NOW, ROOT, Key, Made, leaf, make

ID: Final = "spiffe://video-demo.test/gateway"
KEY_PAIR, CA = "key-pair.pem", "ca-certificate.crt"


@pytest.fixture(scope="module")
def made() -> Made:
    return leaf(replace(LEAF, uris=[ID]))


def in_file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def old_style(made: Made) -> bytes:
    return made.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def reordered(content: bytes) -> bytes:
    """Put the key behind the certificates."""
    end = b"-----END PRIVATE KEY-----\n"
    key, _, chain = content.partition(end)
    return chain + key + end


FOREIGN: Final = (("tls.crt", "tls.key", "ca.crt"), ("svid.pem", "svid_key.pem", "bundle.pem"))
ODD_FILES: Final[dict[str, Callable[[Path], object]]] = {
    "as it should be": lambda _: None,
    "key pair with CRLF": in_file(KEY_PAIR, lambda c: c.replace(b"\n", b"\r\n")),
    "CA with CRLF": in_file(CA, lambda c: c.replace(b"\n", b"\r\n")),
    "key pair with a BOM": in_file(KEY_PAIR, lambda c: b"\xef\xbb\xbf" + c),
    "CA with a BOM": in_file(CA, lambda c: b"\xef\xbb\xbf" + c),
    "key pair with text around": in_file(KEY_PAIR, lambda c: b"Bag\n  attr: 1\n" + c + b"end\n"),
    "CA with text around": in_file(CA, lambda c: b"# our root\n" + c + b"# end\n"),
    "key pair without its last newline": in_file(KEY_PAIR, bytes.rstrip),
    "key pair with blank lines": in_file(KEY_PAIR, lambda c: c.replace(b"-----\n", b"-----\n\n")),
    "key pair with spaces at the ends": in_file(KEY_PAIR, lambda c: c.replace(b"\n", b" \n")),
    "key behind the chain": in_file(KEY_PAIR, reordered),
    "key pair in UTF-16": in_file(KEY_PAIR, lambda c: c.decode().encode("utf-16")),
    "CA in UTF-16": in_file(CA, lambda c: c.decode().encode("utf-16")),
    "key pair cut short": in_file(KEY_PAIR, lambda c: c[:-200]),
    "CA cut short": in_file(CA, lambda c: c[:200]),
    "CA empty": in_file(CA, lambda _: b""),
    "CA missing": lambda folder: (folder / CA).unlink(),
    "key pair missing": lambda folder: (folder / KEY_PAIR).unlink(),
    "key pair without its key": in_file(KEY_PAIR, lambda c: c.partition(b"-\n-----BEGIN C")[2]),
    "key of another": in_file(
        KEY_PAIR, lambda c: make(LEAF).key_pem() + c.split(b"KEY-----\n")[-1]
    ),
    "CA twice": in_file(CA, lambda c: c * 2),
    "a CA and a stranger": in_file(CA, lambda c: c + leaf().root.pem),
    "a CA and an expired stranger": in_file(
        CA, lambda c: c + make(replace(ROOT, subject="stranger", end=NOW - HOUR)).pem
    ),
    "a stranger in the chain": in_file(KEY_PAIR, lambda c: c + leaf().root.pem),
    "the issuing CA alone as the CA": lambda folder: (folder / CA).write_bytes(
        b"-----BEGIN C" + (folder / KEY_PAIR).read_bytes().rpartition(b"-----BEGIN C")[2]
    ),
    "a stranger alone": in_file(CA, lambda _: leaf().root.pem),
    "a CA in binary": in_file(CA, lambda c: c.replace(b"-----", b"")),
    "others may read the key": lambda folder: (folder / KEY_PAIR).chmod(0o644),
    "a CA file that is too large": in_file(CA, lambda c: c + b"#" * 100_000),
    "another issuer's certificate beside it": lambda folder: (folder / "svid.pem").touch(),
    "another issuer's CA beside it": lambda folder: (folder / "ca.crt").write_bytes(
        (folder / CA).read_bytes()
    ),
    "a list that is none": lambda folder: (folder / "revoked.crl").write_bytes(b"nothing"),
}


@pytest.mark.parametrize("spoil", ODD_FILES.values(), ids=ODD_FILES)
def test_its_exit_code_says_whether_a_service_starts(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object]
) -> None:
    folder = write(tmp_path, made)
    spoil(folder)
    try:
        identity = load_identity(folder, roles=frozenset(Role))
        rehearse_http_server(identity)
        rehearse_client(identity)
        starts = True
    except IdentityError:
        starts = False
    code = main(["check", str(folder), "--name", "localhost", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code == 0) is starts, [each for each in found["checks"] if each["result"] == "failed"]


def test_an_old_key_format_and_another_name_of_the_block_start_too(
    made: Made, tmp_path: Path
) -> None:
    folder = write(tmp_path, made)
    (folder / KEY_PAIR).write_bytes(old_style(made) + made.chain_pem)
    assert b"BEGIN EC PRIVATE KEY" in (folder / KEY_PAIR).read_bytes()
    load_identity(folder, roles=frozenset(Role))
    assert main(["check", str(folder), "--json"]) == 0


@pytest.mark.parametrize("names", FOREIGN, ids=lambda names: names[0])
@pytest.mark.parametrize("missing", [None, 0, 1])
def test_it_reads_the_files_of_other_issuers_as_a_service_does(
    made: Made,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, str, str],
    missing: int | None,
) -> None:
    """Without revocation lists, which they do not give. Half of the files: the rest is missed."""
    for name, content in zip(names, (made.chain_pem, made.key_pem(), made.root.pem), strict=True):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    if missing is None:
        assert main(["check", str(tmp_path), "--name", "localhost"]) == 0
        return
    (tmp_path / names[missing]).unlink()
    assert main(["check", str(tmp_path), "--name", "localhost"]) == 1
    said = capsys.readouterr().out
    assert names[missing] in said
    assert KEY_PAIR not in said


def test_a_certificate_without_a_spiffe_id_starts_no_service_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In another program's folder that is worth a note: it may not be for our services."""
    stranger = leaf()
    folder = write(tmp_path, stranger)
    assert main(["check", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == ["own.starts"]
    for ours, theirs in ((KEY_PAIR, "cert.pem"), (CA, "ca.pem")):
        (folder / ours).rename(folder / theirs)
    (folder / "cert.pem").write_bytes(stranger.chain_pem)
    (folder / "key.pem").write_bytes(stranger.key_pem())
    (folder / "key.pem").chmod(0o600)
    assert main(["check", str(folder)]) == 0


_SECONDS: Final = 60
KEYS: Final[dict[str, Key]] = {
    "RSA": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_grpc_serves_the_keys_that_the_doctor_says(
    key: Key, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = leaf(replace(LEAF, key=key, uris=[ID]))
    serves = _serves_grpc(server, leaf())
    code = main(["check", str(write(tmp_path, server)), "--grpc", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["failed"]) == ((0, []) if serves else (1, ["own.grpc"]))
    without = main(["check", str(tmp_path), "--json"])
    assert without == 0


def _serves_grpc(made: Made, client: Made) -> bool:
    """Whether a gRPC server with this certificate gets as far as an answer."""
    server = grpc.server(ThreadPoolExecutor(1))
    credentials = grpc.ssl_server_credentials(
        [(made.key_pem(), made.chain_pem)], client.root.pem, require_client_auth=True
    )
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    channel_credentials = grpc.ssl_channel_credentials(
        made.root.pem, client.key_pem(), client.chain_pem
    )
    try:
        with grpc.secure_channel(f"localhost:{port}", channel_credentials) as channel:
            call = channel.unary_unary(
                "/no.such.Service/Call", request_serializer=bytes, response_deserializer=bytes
            )
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=_SECONDS)
    finally:
        assert server.stop(None).wait(_SECONDS)
    code = refused.value.code()
    assert code in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE}
    return bool(code is grpc.StatusCode.UNIMPLEMENTED)
