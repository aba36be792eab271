"""GET /metrics: over mutual TLS, to whom the policy names, and never in anybody else's way."""

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Final

from mtls.address import Address
from mtls.certificates import Role
from mtls.errors import ListenError
from mtls.identity import load_identity
from mtls.identity_source import IdentitySource
from mtls.reporting.metrics_endpoint import serving_metrics

import pytest

import impostors
from demo_identities import identity_named
from impostors import Impostor
from local_stack import Service, Stack
from tests.mtls.scrape import METRICS, get_metrics, metrics_address, sample, scrape

CALLERS: Final = {"gateway": "client/uploader", "video-queue": "gateway"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = Stack(tmp_path_factory.mktemp("metrics"))
    stack.write_certificates()
    return stack


@pytest.fixture(scope="module")
def services(stack: Stack) -> Iterator[dict[str, Service]]:
    queue = stack.start_queue(VIDEO_QUEUE_METRICS=METRICS)
    try:
        gateway = stack.start_gateway(queue.address, GATEWAY_METRICS=METRICS)
        try:
            yield {service.name: service for service in (queue, gateway)}
        finally:
            assert gateway.stop() == 0
    finally:
        assert queue.stop() == 0


@pytest.fixture(params=CALLERS)
def service(request: pytest.FixtureRequest, services: dict[str, Service]) -> Service:
    return services[request.param]


def test_the_probe_may_read_them_and_others_may_not(stack: Stack, service: Service) -> None:
    address = metrics_address(service)
    assert get_metrics(address, stack.certs / "probe")[0] == 200
    for other in ("client/uploader", "gateway", "transcoder"):
        since = service.log.position()
        status, text = get_metrics(address, stack.certs / other)
        assert (status, "mtls_" in text) == (403, False)
        denied = service.log.wait_for(lambda event: event["event"] == "call.denied", since=since)
        assert denied["identity"] == f"spiffe://video-demo.test/{other}"
        assert denied["method"] == "GET /metrics"


def test_there_is_nothing_else_to_read(stack: Stack, service: Service) -> None:
    status, _ = get_metrics(metrics_address(service), stack.certs / "probe", "/debug")
    assert status == 403


def test_the_handshake_refuses_who_has_no_certificate(stack: Stack, service: Service) -> None:
    before = scrape(stack, service)
    host, _, port = metrics_address(service).partition(":")
    context = ssl.create_default_context(cadata=stack.authority.ca_pem.decode("ascii"))
    with (
        socket.create_connection((host, int(port)), 30) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        connection.recv(1)
    labels = {"endpoint": "metrics", "result": "refused", "reason": "no_certificate"}
    name = "mtls_handshakes_total"
    after = scrape(stack, service)
    assert sample(after, name, **labels) == sample(before, name, **labels) + 1


def test_a_client_that_says_nothing_is_in_nobodys_way(stack: Stack, service: Service) -> None:
    host, _, port = metrics_address(service).partition(":")
    with socket.create_connection((host, int(port)), 30):
        assert scrape(stack, service)


async def test_calls_are_counted_by_identity_method_and_code(
    stack: Stack, services: dict[str, Service]
) -> None:
    queue, gateway = services["video-queue"], services["gateway"]
    before = scrape(stack, queue), scrape(stack, gateway)
    title = "counted"
    for name in ("client/uploader", "client/viewer", "console"):
        client = Impostor(name, stack.authority.issue(identity_named(name)))
        await impostors.upload_over_http(gateway.address, stack.authority.ca_pem, client, title)
    stranger = Impostor("transcoder", stack.authority.issue(identity_named("transcoder")))
    await impostors.upload_over_http(gateway.address, stack.authority.ca_pem, stranger, title)
    await impostors.upload_over_grpc(
        queue.address, stack.authority.ca_pem, stranger, title, for_whom="nobody"
    )
    after = scrape(stack, queue), scrape(stack, gateway)

    def grown(which: int, endpoint: str, identity: str, method: str, code: str) -> float:
        labels = {"endpoint": endpoint, "identity": identity, "method": method, "code": code}
        name = "mtls_calls_total"
        return sample(after[which], name, **labels) - sample(before[which], name, **labels)

    upload = "/videoqueue.v1.VideoQueue/Upload"
    assert grown(1, "http", "client/uploader", "POST /videos", "201") == 1
    assert grown(1, "http", "console", "POST /videos", "201") == 1
    assert grown(1, "http", "client/viewer", "POST /videos", "403") == 1
    assert grown(1, "http", "other", "POST /videos", "403") == 1
    assert grown(0, "grpc", "gateway", upload, "OK") == 2
    assert grown(0, "grpc", "transcoder", upload, "PERMISSION_DENIED") == 1


def test_our_certificates_expire_in_the_time_that_is_left(stack: Stack, service: Service) -> None:
    identity = load_identity(stack.certs / service.name, roles=frozenset({Role.SERVER}))
    left = {
        dict(labels)["certificate"]: value
        for (name, labels), value in scrape(stack, service).items()
        if name == "mtls_certificate_expires_in_seconds"
    }
    assert set(left) == {"leaf", "issuing CA", "root"}
    now = time.time()
    end = identity.certificate.not_valid_after_utc.timestamp()
    assert left["leaf"] == pytest.approx(end - now, abs=60)


async def test_a_certificate_for_clients_serves_no_metrics(stack: Stack) -> None:
    identity = load_identity(stack.certs / "transcoder", roles=frozenset({Role.CLIENT}))
    with pytest.raises(ListenError, match="serverAuth"):
        async with serving_metrics(Address("127.0.0.1", 0), IdentitySource(identity), {"probe"}):
            pass
