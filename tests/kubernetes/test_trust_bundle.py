"""Why each pod has the ConfigMap `trust-bundle`, and does not take the `ca.crt` of its Secret."""

from pathlib import Path

from mtls import Role, watch_identity
from mtls.identity import IdentityError

import pytest

from tests.cluster.kubernetes_secrets import CertManager
from tests.kubernetes.manifests import manifests

ROLES = (Role.SERVER, Role.CLIENT)


@pytest.fixture
def issuer() -> CertManager:
    return CertManager(manifests("base"))


@pytest.fixture
def folder(tmp_path: Path, issuer: CertManager) -> Path:
    """A gateway's folder without a trust bundle, in cert-manager's layout."""
    secret = issuer.secret("gateway")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(secret[name])
    return tmp_path


async def test_with_the_root_the_gateway_has_its_identity(
    folder: Path, issuer: CertManager
) -> None:
    (folder / "ca.crt").write_bytes(issuer.secret("root-ca")["tls.crt"])
    async with watch_identity(folder, *ROLES, require_revocation_lists=False) as identity:
        assert identity.client_context
        assert str(identity.current.spiffe_id) == "spiffe://video-demo.test/gateway"
        assert identity.current.layout.issuer == "cert-manager"


async def test_with_the_issuing_ca_which_the_secret_has_its_peers_would_refuse_it(
    folder: Path, issuer: CertManager
) -> None:
    """OpenSSL takes no CA for an anchor that is not a root."""
    (folder / "ca.crt").write_bytes(issuer.secret("gateway")["ca.crt"])
    async with watch_identity(folder, *ROLES, require_revocation_lists=False) as identity:
        with pytest.raises(IdentityError, match="unable to get issuer certificate"):
            assert identity.client_context
