"""An image can be given to anybody: neither its layers nor its history hold a private key."""

import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, Final

import docker
import pytest
from docker.models.images import Image

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from tests.compose.archives import pack
from tests.compose.project import SERVICES, Project
from tests.compose.public_keys import PUBLIC_KEYS

KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s[\w+/=\s]{40}")
LONGEST_MATCH_BYTES: Final = 100
CHUNK_BYTES: Final = 16 * 1024**2
ZSTANDARD: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1


def has_key(content: IO[bytes]) -> bool:
    end = b""
    while chunk := content.read(CHUNK_BYTES):
        if KEY.search(end + chunk):
            return True
        end = chunk[-LONGEST_MATCH_BYTES:]
    return False


def files_with_key(image: Image) -> list[str]:
    """Return the names of the files - in each layer, and the history - that hold a private key.

    A layer is looked through as it is stored, so what a later layer deletes is found as well.
    """
    with tempfile.TemporaryFile() as saved:
        saved.writelines(image.save())
        saved.seek(0)
        with tarfile.open(fileobj=saved) as parts:
            return [
                name
                for part in filter(tarfile.TarInfo.isfile, parts)
                for name, content in files_in(part.name, parts.extractfile(part))
                if has_key(content) and not PUBLIC_KEYS.search(name)
            ]


def files_in(name: str, part: IO[bytes] | None) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files of a layer; or the part itself, if it is none."""
    assert part
    assert part.read(4) != ZSTANDARD, "this test cannot look into a layer of this engine"
    part.seek(0)
    try:
        layer = tarfile.open(fileobj=part)  # noqa: SIM115  closed below
    except tarfile.ReadError:
        part.seek(0)
        yield name, part
        return
    with layer:
        for file in filter(tarfile.TarInfo.isfile, layer):
            content = layer.extractfile(file)
            assert content
            yield f"{name}: {file.name}", content


@pytest.mark.parametrize("service", ["certs", *SERVICES])
def test_image_holds_no_private_key(project: Project, service: str) -> None:
    image = project.container(service).image
    assert image
    assert files_with_key(image) == []


def test_the_search_finds_a_key_that_a_later_layer_deletes(
    project: Project, engine: docker.DockerClient
) -> None:
    base = project.container("certs").image
    assert base
    dockerfile = f"FROM {base.id}\nCOPY key.pem /\nRUN rm /key.pem\n".encode()
    key = Authority.create(IDENTITIES).issue(identity_named("probe")).key_pem
    context = io.BytesIO(pack({"Dockerfile": dockerfile, "key.pem": key}))
    image, _ = engine.images.build(fileobj=context, custom_context=True, rm=True)
    try:
        assert len(files_with_key(image)) == 1
    finally:
        engine.images.remove(image.id or "", force=True)
