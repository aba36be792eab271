"""Plain services between proxies that do the mutual TLS: what people use in place of a library.

    client == mutual TLS ==> gateway's proxy -> gateway -> gateway's proxy
           == mutual TLS ==> queue's proxy -> queue

A gateway has one proxy for both ways, as a sidecar is. The certificates, and what is asked of a
client, are the same as ours: a certificate of our CA, TLS 1.3. What a proxy can check beyond that
is only used where it says so: Envoy, which knows HTTP, decides by SPIFFE ID and method.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.connections import connector
from benchmarks.needs import VENV_PYTHON, stream_module
from benchmarks.processes import Server, spawn
from benchmarks.stacks import Place, Stack, our_gateway, our_queue, running
from benchmarks.waiting import until
from local_stack import free_port

_PLAIN: Final = ["--transport=plain", "--store=memory"]
_TRUST_DOMAIN: Final = "spiffe://video-demo.test"
_READERS: Final = ("client/uploader", "client/viewer", "console")
_WRITERS: Final = ("client/uploader", "console")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What one proxy does: it ends TLS in front of its service, and begins it behind it.

    Addresses are host:port. Without `begins` there is nothing that the service calls.
    """

    folder: Path
    identity: Path
    ends: tuple[str, str]  # listens here, and passes on to there
    begins: tuple[str, str] | None = None

    @property
    def ca(self) -> Path:
        """Whom it trusts."""
        return self.identity / "ca-certificate.crt"

    @property
    def chain(self) -> Path:
        """Its certificate."""
        return self.identity / "certificate.crt"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.identity / "private-key.pem"


Start = Callable[[Sidecar], list[str | Path]]
"""Writes the configuration of a proxy, and returns the command that runs it."""


def _written(sidecar: Sidecar, name: str, text: str) -> Path:
    path = sidecar.folder / name
    path.write_text(text, "utf-8")
    return path


def _nginx(sidecar: Sidecar) -> list[str | Path]:
    module = stream_module()
    listen, target = sidecar.ends
    servers = f"""
        server {{
            listen {listen} ssl;
            proxy_pass {target};
            ssl_protocols TLSv1.3;
            ssl_certificate {sidecar.chain};
            ssl_certificate_key {sidecar.key};
            ssl_client_certificate {sidecar.ca};
            ssl_verify_client on;
            ssl_verify_depth 2;
        }}"""
    if sidecar.begins:
        listen, target = sidecar.begins
        servers += f"""
        server {{
            listen {listen};
            proxy_pass {target};
            proxy_ssl on;
            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_certificate {sidecar.chain};
            proxy_ssl_certificate_key {sidecar.key};
            proxy_ssl_trusted_certificate {sidecar.ca};
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 2;
            proxy_ssl_name localhost;
        }}"""
    conf = _written(
        sidecar,
        "nginx.conf",
        f"""{f"load_module {module};" if module else ""}
        daemon off;
        worker_processes 1;
        pid nginx.pid;
        events {{ worker_connections 4096; }}
        stream {{ {servers}
        }}
        """,
    )
    return ["nginx", "-p", sidecar.folder, "-c", conf, "-e", sidecar.folder / "error.log"]


def _haproxy(sidecar: Sidecar) -> list[str | Path]:
    tls = (
        f"ssl crt {sidecar.identity / 'key-pair.pem'} ca-file {sidecar.ca} verify required "
        "ssl-min-ver TLSv1.3"
    )
    listen, target = sidecar.ends
    text = f"""
global
    nbthread 1
    maxconn 8192
defaults
    mode tcp
    timeout connect 5s
    timeout client 75s
    timeout server 75s
listen ends
    bind {listen} {tls}
    server service {target}
"""
    if sidecar.begins:
        listen, target = sidecar.begins
        text += f"""
listen begins
    bind {listen}
    server queue {target} {tls} verifyhost localhost sni str(localhost)
"""
    return ["haproxy", "-db", "-f", _written(sidecar, "haproxy.cfg", text)]


def _stunnel(sidecar: Sidecar) -> list[str | Path]:
    tls = f"""cert = {sidecar.chain}
key = {sidecar.key}
CAfile = {sidecar.ca}
verifyChain = yes
sslVersionMin = TLSv1.3
"""
    listen, target = sidecar.ends
    text = f"""foreground = yes
pid =
debug = err
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[ends]
accept = {listen}
connect = {target}
requireCert = yes
{tls}"""
    if sidecar.begins:
        listen, target = sidecar.begins
        text += f"""[begins]
client = yes
accept = {listen}
connect = {target}
checkHost = localhost
{tls}"""
    return ["stunnel4", _written(sidecar, "stunnel.conf", text)]


def _envoy_tcp(sidecar: Sidecar) -> list[str | Path]:
    return _envoy(sidecar, _tcp_proxy, {})


def _envoy_http(sidecar: Sidecar) -> list[str | Path]:
    http2 = {
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                explicit_http_config={"http2_protocol_options": {}},
            )
        }
    }
    # What the gateway calls, and what calls the queue, is gRPC.
    grpc = {"begins": http2} if sidecar.begins else {"ends": http2}
    policies = _gateway_policies() if sidecar.begins else _queue_policies()
    return _envoy(sidecar, partial(_http_proxy, policies), grpc)


def _envoy(
    sidecar: Sidecar,
    proxy: Callable[[str], dict[str, Any]],
    options: Mapping[str, dict[str, Any]],
) -> list[str | Path]:
    """Run Envoy with one worker; `proxy` is the filter of a listener.

    docs: envoyproxy.io, api-v3/extensions/transport_sockets/tls/v3/tls.proto
    """
    common = {
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3",
            "tls_maximum_protocol_version": "TLSv1_3",  # for a client the default is TLSv1_2
        },
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(sidecar.chain)},
                "private_key": {"filename": str(sidecar.key)},
            }
        ],
        "validation_context": {"trusted_ca": {"filename": str(sidecar.ca)}},
    }
    tls = "extensions.transport_sockets.tls.v3"
    ends = _typed(
        f"{tls}.DownstreamTlsContext",
        require_client_certificate=True,
        common_tls_context=common,
    )
    queue = {
        **common,
        "validation_context": {
            "trusted_ca": {"filename": str(sidecar.ca)},
            "match_typed_subject_alt_names": [
                {"san_type": "URI", "matcher": {"exact": f"{_TRUST_DOMAIN}/video-queue"}}
            ],
        },
    }
    begins = _typed(f"{tls}.UpstreamTlsContext", sni="localhost", common_tls_context=queue)
    listeners = [_listener("ends", sidecar.ends[0], proxy("ends"), ends)]
    clusters = [_cluster("ends", sidecar.ends[1], None)]
    if sidecar.begins:
        listeners.append(_listener("begins", sidecar.begins[0], proxy("begins"), None))
        clusters.append(_cluster("begins", sidecar.begins[1], begins))
    resources = {
        "listeners": listeners,
        "clusters": [{**each, **options.get(str(each["name"]), {})} for each in clusters],
    }
    path = _written(sidecar, "envoy.json", json.dumps({"static_resources": resources}, indent=1))
    envoy = VENV_PYTHON.parent / "envoy"
    return [envoy, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "warn"]


def _typed(name: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/envoy.{name}", **fields}


def _address(address: str) -> dict[str, Any]:
    _, _, port = address.rpartition(":")
    return {"socket_address": {"address": "127.0.0.1", "port_value": int(port)}}


def _listener(
    name: str, address: str, proxy: dict[str, Any], tls: dict[str, Any] | None
) -> dict[str, Any]:
    chain: dict[str, Any] = {"filters": [proxy]}
    if tls:
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    return {"name": name, "address": _address(address), "filter_chains": [chain]}


def _cluster(name: str, address: str, tls: dict[str, Any] | None) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(address)}}]
    cluster: dict[str, Any] = {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": endpoints}],
        },
        # The default of 1024 would refuse what the benchmark has open (circuit breakers).
        "circuit_breakers": {"thresholds": [{"max_connections": 8192, "max_requests": 8192}]},
    }
    if tls:
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    return cluster


def _tcp_proxy(name: str) -> dict[str, Any]:
    config = _typed("extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=name)
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": {**config, "cluster": name}}


def _http_proxy(policies: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the filter that decides by SPIFFE ID and method, and hands on who has called."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}]
    router = _typed("extensions.filters.http.router.v3.Router")
    filters = [{"name": "envoy.filters.http.router", "typed_config": router}]
    if name == "ends":
        rbac = _typed("extensions.filters.http.rbac.v3.RBAC", rules={"policies": policies})
        filters.insert(0, {"name": "envoy.filters.http.rbac", "typed_config": rbac})
    config = _typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        route_config={"virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
        http_filters=filters,
        forward_client_cert_details="SANITIZE_SET" if name == "ends" else "SANITIZE",
        set_current_client_cert_details={"uri": True},
    )
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def _gateway_policies() -> dict[str, Any]:
    return {
        "read": _policy([_method("GET")], _READERS),
        "write": _policy([_method("POST")], _WRITERS),
    }


def _queue_policies() -> dict[str, Any]:
    methods = [
        {"url_path": {"path": {"exact": f"/videoqueue.v1.VideoQueue/{each}"}}}
        for each in ("Upload", "GetVideo", "ListVideos", "Download")
    ]
    return {"gateway": _policy(methods, ("gateway",))}


def _method(name: str) -> dict[str, Any]:
    return {"header": {"name": ":method", "string_match": {"exact": name}}}


def _policy(permissions: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    principals = [
        {"authenticated": {"principal_name": {"exact": f"{_TRUST_DOMAIN}/{name}"}}}
        for name in names
    ]
    return {"permissions": permissions, "principals": principals}


SIDECARS: Final[Mapping[str, Start]] = {
    "nginx": _nginx,
    "HAProxy": _haproxy,
    "stunnel": _stunnel,
    "Envoy": _envoy_tcp,
    "Envoy with policy": _envoy_http,
}


@contextmanager
def sidecar_stack(place: Place, kind: str) -> Iterator[Stack]:
    """Run both services plain beside proxies of that kind, in a folder of their own."""
    with (
        place.of_its_own() as own,
        running(own, (kind,), partial(_started, own, kind)) as stack,
    ):
        yield stack


@contextmanager
def _started(place: Place, kind: str) -> Iterator[Stack]:
    """Run both services plain, on a store in memory, each beside a proxy of that kind."""
    home = place.below(kind.replace(" ", "-"))
    with ExitStack() as started:
        queue = started.enter_context(our_queue(home, _PLAIN))
        secured = Sidecar(
            home.below("queue-proxy").folder,
            place.certs / "video-queue",
            (_free(), _numeric(queue.address)),
        )
        queue_proxy = started.enter_context(_proxy(kind, secured, place.cores.behind))
        calls = _free()
        gateway = started.enter_context(our_gateway(home, calls, _PLAIN))
        facing = Sidecar(
            home.below("gateway-proxy").folder,
            place.certs / "gateway",
            (_free(), _numeric(gateway.address)),
            (calls, secured.ends[0]),
        )
        gateway_proxy = started.enter_context(_proxy(kind, facing, place.cores.front))
        port = facing.ends[0].rpartition(":")[2]
        stack = Stack(
            kind,
            replace(gateway, address=f"localhost:{port}", beside=(gateway_proxy,)),
            replace(queue, beside=(queue_proxy,)),
        )
        until(stack.gateway, connector(stack.gateway.address, place.client()), "/videos")
        yield stack


@contextmanager
def _proxy(kind: str, sidecar: Sidecar, core: int) -> Iterator[Server]:
    command = SIDECARS[kind](sidecar)
    process = spawn(command, dict(os.environ), core, sidecar.folder / "proxy.log")
    server = Server(kind, process, sidecar.ends[0])
    try:
        yield server
    finally:
        server.stop()


def _free() -> str:
    return f"127.0.0.1:{free_port()}"


def _numeric(address: str) -> str:
    return f"127.0.0.1:{address.rpartition(':')[2]}"
