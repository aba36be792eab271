"""What deploy/scale-out.yml says. scripts/test_scale_out runs it: scale_out.py."""

import json
import os
import subprocess
import tomllib
from typing import Any

import pytest

from tests.checkout import ROOT


@pytest.fixture(scope="module")
def services() -> Any:
    """The services as Compose understands both files together."""
    files = [f"--file={name}" for name in ("docker-compose.yml", "deploy/scale-out.yml")]
    said = subprocess.run(
        ["docker", "compose", *files, "-p", "shown", "config", "--format=json"],
        cwd=ROOT,
        env={**os.environ, "LOG_FORMAT": "json"},
        check=True,
        capture_output=True,
    )
    return json.loads(said.stdout)["services"]


def test_identities_differ_in_three_facts() -> None:
    usual, scaled = (
        {each["name"]: each for each in tomllib.loads(path.read_text())["identity"]}
        for path in (ROOT / "identities.toml", ROOT / "deploy" / "identities.toml")
    )
    assert scaled.keys() - usual.keys() == {"database", "object-store"}
    changed = {name for name, each in usual.items() if each != scaled[name]}
    assert changed == {"video-queue"}
    assert scaled["video-queue"]["use"] == ["server", "client"]


def test_there_are_so_many_of_each(services: Any) -> None:
    replicas = {
        name: service["deploy"]["replicas"]
        for name, service in services.items()
        if "deploy" in service
    }
    assert replicas == {"video-queue": 3, "gateway": 2, "transcoder": 3}


def test_the_stores_are_where_only_the_queue_is(services: Any) -> None:
    networks = {name: set(service.get("networks") or ()) for name, service in services.items()}
    assert {name for name, on in networks.items() if "storage" in on} == {
        "database", "object-store", "video-queue",
    }  # fmt: skip
    assert networks["video-queue"] == {"storage", "backend"}
    published = {name for name, service in services.items() if service.get("ports")}
    assert published == {"gateway", "console"}


@pytest.mark.parametrize("name", ["database", "object-store", "bucket", "video-queue"])
def test_a_container_has_no_right_that_it_does_not_need(services: Any, name: str) -> None:
    service = services[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "10001:10001"


def test_the_object_store_demands_a_certificate(services: Any) -> None:
    """And nothing but its loopback is reached without: test_bucket has the refusals."""
    command = services["object-store"]["command"]
    assert "-s3.tlsVerifyClientCert" in command
    assert "-ip.bind=127.0.0.1" in command


def test_the_queue_keeps_nothing_and_has_an_image_of_its_own(services: Any) -> None:
    queue = services["video-queue"]
    assert queue["build"]["args"] == {"REQUIREMENTS": "video-queue-scale-out"}
    assert queue["image"] == "shown-video-queue-scale-out"
    assert {each["target"] for each in queue["volumes"]} == {"/certs/identity", "/bucket-key"}
    for name in ("video-queue", "gateway", "transcoder", "console"):
        usual = (ROOT / "requirements" / f"{name}.txt").read_text()
        assert not [each for each in ("aiobotocore", "botocore", "psycopg") if f"\n{each}" in usual]
