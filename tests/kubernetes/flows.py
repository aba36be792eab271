"""Who can call whom: as docker-compose.yml lets it, and as NetworkPolicies do.

A flow is a caller, a server and a port. Compose: two containers on one network can talk, on every
port that one of them listens on. Kubernetes: a policy that selects a pod denies what none allows,
at the caller's end and at the server's.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import yaml  # type: ignore[import-untyped]

from tests.kubernetes.manifests import Manifest
from tests.pages import ROOT

OUTSIDE: Final = "outside"
NAMESPACE: Final = "video-demo"
# Beside the ports that somebody listens on: a policy must not open others.
OTHER_PORTS: Final = frozenset({1, 53, 80, 443, 5432, 65535})

_LISTENS: Final = re.compile(r"0\.0\.0\.0:(\d+)")
_DEFAULT: Final = re.compile(r"\$\{\w+:-([^}]*)\}")


class Flow(NamedTuple):
    """A call that the network lets through."""

    caller: str
    server: str
    port: int


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads a file of Compose, whose tag `!override` says how two files are merged."""


_Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


@cache
def compose_services(name: str = "docker-compose.yml") -> Mapping[str, Mapping[str, Any]]:
    """Return the services of a file of Compose; a variable has its default."""
    text = _DEFAULT.sub(r"\1", (ROOT / name).read_text("utf-8"))
    services: Mapping[str, Mapping[str, Any]] = yaml.load(text, _Loader)["services"]  # noqa: S506
    return services


def networked() -> Mapping[str, Mapping[str, Any]]:
    """Return the services that are on a network."""
    return {name: each for name, each in compose_services().items() if "networks" in each}


def ports_of(service: Mapping[str, Any]) -> frozenset[int]:
    """Return the ports that a service of Compose listens on."""
    values = map(str, service.get("environment", {}).values())
    return frozenset(int(match[1]) for value in values if (match := _LISTENS.fullmatch(value)))


def compose_flows() -> frozenset[Flow]:
    """Return what Compose lets through between two containers."""
    services = networked()
    return frozenset(
        Flow(caller, server, port)
        for caller, its in services.items()
        for server, theirs in services.items()
        if {*its["networks"]} & {*theirs["networks"]}
        for port in ports_of(theirs)
    )


def policy_flows(policies: Iterable[Manifest], pods: Mapping[str, Manifest]) -> frozenset[Flow]:
    """Return what NetworkPolicies let through between two pods, and between one and outside.

    Looked at are the ports that a policy names, those that Compose's services listen on, and some
    of which nobody speaks: a rule without ports opens them all.
    """
    given = list(policies)
    ports = {*OTHER_PORTS, *_named_ports(given)}.union(*map(ports_of, networked().values()))
    labels: dict[str, Mapping[str, str] | None] = {
        name: pod["metadata"]["labels"] for name, pod in pods.items()
    }
    ends = {**labels, OUTSIDE: None}
    return frozenset(
        Flow(caller, server, port)
        for caller, its in ends.items()
        for server, theirs in ends.items()
        if caller != OUTSIDE or server != OUTSIDE
        for port in ports
        if _lets("Egress", given, its, theirs, port) and _lets("Ingress", given, theirs, its, port)
    )


def _named_ports(policies: Iterable[Manifest]) -> Iterator[int]:
    for policy in policies:
        for direction in ("ingress", "egress"):
            for rule in policy["spec"].get(direction, ()):
                for each in rule.get("ports", ()):
                    assert each.keys() == {"protocol", "port"}, "nothing else is understood here"
                    yield each["port"]


def _lets(
    direction: str,
    policies: Sequence[Manifest],
    labels: Mapping[str, str] | None,
    other: Mapping[str, str] | None,
    port: int,
) -> bool:
    """Whether the end with `labels` may talk to the `other`; None is an end outside."""
    if labels is None:
        return True  # no policy of ours is about it
    specs = [each["spec"] for each in policies]
    mine = [
        spec
        for spec in specs
        if direction in spec["policyTypes"] and _selects(spec["podSelector"], labels)
    ]
    rules = [rule for spec in mine for rule in spec.get(direction.lower(), ())]
    key = "from" if direction == "Ingress" else "to"
    return not mine or any(
        _has_port(rule, port)
        and (not rule.get(key) or any(_is_peer(each, other) for each in rule[key]))
        for rule in rules
    )


def _has_port(rule: Mapping[str, Any], port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        each.get("protocol", "TCP") == "TCP" and each.get("port", port) == port for each in ports
    )


def _is_peer(peer: Mapping[str, Any], labels: Mapping[str, str] | None) -> bool:
    if labels is None or "ipBlock" in peer:
        return labels is None and "ipBlock" in peer
    namespace = {"kubernetes.io/metadata.name": NAMESPACE}
    if "namespaceSelector" in peer and not _selects(peer["namespaceSelector"], namespace):
        return False
    return _selects(peer.get("podSelector", {}), labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, "nothing else is understood here"
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
