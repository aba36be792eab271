"""Asking a running service for its metrics, as Prometheus would: over mutual TLS, as `probe`."""

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

from prometheus_client.parser import text_string_to_metric_families

from local_stack import Service, Stack

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
METRICS: Final = "127.0.0.1:0"  # where a service under test is told to serve them
_SECONDS: Final = 30


def get_metrics(address: str, folder: Path, path: str = "/metrics") -> tuple[int, str]:
    """Return the status and the body that the identity in `folder` gets at `address`."""
    context = client_context(load_identity(folder, roles=frozenset({Role.CLIENT})))
    connection = http.client.HTTPSConnection(address, context=context, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def metrics_address(service: Service) -> str:
    """Return host:port where the service has said that it serves its metrics."""
    event = service.log.wait_for(lambda event: event["event"] == "metrics.listening")
    port = str(event["address"]).rpartition(":")[2]
    return f"localhost:{port}"


def scrape(stack: Stack, service: Service) -> Samples:
    """Return every sample by its name and labels."""
    status, text = get_metrics(metrics_address(service), stack.certs / "probe")
    assert status == 200, text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(samples: Samples, name: str, **labels: str) -> float:
    """Return one sample; what has never been counted is 0."""
    return samples.get((name, frozenset(labels.items())), 0.0)
