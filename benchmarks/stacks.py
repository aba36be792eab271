"""Both hops as processes: our services, or variants of them, and the peers that we compare with."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from mtls.certificates import Role
from mtls.identity import Identity, load_identity

from benchmarks.needs import GO_FOLDER, NODE, NPM_FOLDER, VENV_PYTHON
from benchmarks.processes import Cores, Server, serving
from local_stack import ROOT

OURS: Final = "ours"
NODE_PEER: Final = "Node"
FASTAPI: Final = "FastAPI"
GO: Final = "Go"
FLOOR: Final = "floor"

_FASTAPI_FOLDER: Final = ROOT / "benchmarks" / "peer-fastapi"
# How the queue and the gateway of each are started.
_PEERS: Final[Mapping[str, tuple[list[str | Path], list[str | Path]]]] = {
    NODE_PEER: ([NODE, NPM_FOLDER / "queue.js"], [NODE, NPM_FOLDER / "gateway.js"]),
    FASTAPI: (
        [VENV_PYTHON, _FASTAPI_FOLDER / "peer_queue.py"],
        [VENV_PYTHON, _FASTAPI_FOLDER / "peer_gateway.py"],
    ),
    GO: ([GO_FOLDER / "bin" / "queue"], [GO_FOLDER / "bin" / "gateway"]),
    FLOOR: (
        [sys.executable, "-m", "benchmarks.floor.queue"],
        [sys.executable, "-m", "benchmarks.floor.gateway"],
    ),
}

_PYTHONPATH: Final = ":".join(
    str(ROOT / each)
    for each in ("benchmarks/as_in_the_images", "services", "protos/gen", "scripts", ".")
)


@dataclass(frozen=True, slots=True)
class Stack:
    """A gateway with a queue behind it; `scheme` is how the gateway is called."""

    name: str
    gateway: Server
    queue: Server
    scheme: str = "https"

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return f"{self.scheme}://{self.gateway.address}"

    def cpu_seconds(self) -> float:
        """Return what both servers have used."""
        return self.gateway.cpu_seconds() + self.queue.cpu_seconds()

    def memory_bytes(self) -> int:
        """Return the resident memory of both servers."""
        return self.gateway.memory_bytes() + self.queue.memory_bytes()


@dataclass(slots=True)
class Kept:
    """Stacks that are started once, for all rows: to see that all still runs, in little time."""

    running: ExitStack
    stacks: dict[tuple[object, ...], Stack] = field(default_factory=dict)

    def get(
        self, key: tuple[object, ...], start: Callable[[], AbstractContextManager[Stack]]
    ) -> Stack:
        """Return the stack of that key, which is started when it is first asked for."""
        if key not in self.stacks:
            self.stacks[key] = self.running.enter_context(start())
        return self.stacks[key]

    def terminate(self) -> None:
        """Ask all of them at once to finish."""
        for stack in self.stacks.values():
            for server in (stack.gateway, stack.queue):
                server.terminate()


@contextmanager
def keeping() -> Iterator[Kept]:
    """Yield what keeps stacks, and stop them all at the end."""
    with ExitStack() as running:
        kept = Kept(running)
        try:
            yield kept
        finally:
            kept.terminate()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark runs: a folder for its files, the certificates, and the cores.

    With `kept` a stack is that of the row before, where there was one.
    """

    folder: Path
    certs: Path
    cores: Cores
    kept: Kept | None = None

    def below(self, name: str) -> "Place":
        """Return the same with a folder of its own."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return replace(self, folder=folder)

    @contextmanager
    def of_its_own(self) -> Iterator["Place"]:
        """Yield the same with a folder that is removed at the end, unless stacks are kept."""
        if self.kept:
            yield self.below(uuid4().hex)
        else:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                yield replace(self, folder=Path(folder))

    def client(self, name: str = "client/uploader") -> Identity:
        """Return an identity to call with."""
        return load_identity(self.certs / name, roles=frozenset({Role.CLIENT}))


@contextmanager
def our_stack(
    place: Place, name: str, *, transport: str = "mtls", store: str = "disk", hooks: bool = True
) -> Iterator[Stack]:
    """Run our two services; with all defaults they are started as anybody starts them."""
    home = place.below(name.replace(" ", "-"))
    options = [f"--transport={transport}", f"--store={store}"]
    options += [] if hooks else ["--without-hooks"]
    as_always = (transport, store, hooks) == ("mtls", "disk", True)
    with ExitStack() as stack:
        queue = stack.enter_context(our_queue(home, [] if as_always else options))
        gateway = stack.enter_context(
            our_gateway(home, queue.address, [] if as_always else options)
        )
        yield Stack(name, gateway, queue, "http" if transport == "plain" else "https")


@contextmanager
def stack_of(
    place: Place, kind: str, *, transport: str = "mtls", store: str = "disk", hooks: bool = True
) -> Iterator[Stack]:
    """Run ours, or the peer of that name."""

    def start() -> AbstractContextManager[Stack]:
        if kind == OURS:
            return our_stack(place, OURS, transport=transport, store=store, hooks=hooks)
        return peer_stack(place, kind)

    key = (kind, place.certs, transport, store, hooks) if kind == OURS else (kind,)
    with running(place, key, start) as stack:
        yield stack


@contextmanager
def running(
    place: Place, key: tuple[object, ...], start: Callable[[], AbstractContextManager[Stack]]
) -> Iterator[Stack]:
    """Start a stack and stop it at the end; or take the one that is kept."""
    if place.kept:
        yield place.kept.get(key, start)
    else:
        with start() as stack:
            yield stack


@contextmanager
def fresh(
    place: Place, kind: str, *, transport: str = "mtls", store: str = "disk", hooks: bool = True
) -> Iterator[Stack]:
    """Run a stack in a folder of its own, ours or a peer's, and remove what it has stored.

    To have one for each round: of two servers that are alike, one may take a tenth more for each
    request, or half as much again for each byte, for as long as it lives. So it may be that its
    allocator gives every chunk back to the kernel, and the other's none.
    """
    with (
        place.of_its_own() as own,
        stack_of(own, kind, transport=transport, store=store, hooks=hooks) as stack,
    ):
        yield stack


# All of the load comes from one client and at once; the limits for one identity would refuse it.
_ROOM_FOR_ONE_CLIENT: Final = {
    "GATEWAY_MAX_CONNECTIONS": "2000",
    "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": "2000",
    "GATEWAY_MAX_REQUESTS": "4000",
    "GATEWAY_CALL_SECONDS": "60",  # a disk that is slow for a moment is no reason to fail
    "GATEWAY_MAX_UPLOADS": "4000",
    "GATEWAY_MAX_DOWNLOADS": "4000",
    "VIDEO_QUEUE_MAX_UPLOADS": "1000",
    "VIDEO_QUEUE_MAX_UPLOADS_PER_IDENTITY": "1000",
    "VIDEO_QUEUE_MAX_DOWNLOADS": "1000",
    "VIDEO_QUEUE_MAX_DOWNLOADS_PER_IDENTITY": "1000",
    "VIDEO_QUEUE_MAX_PENDING_PER_OWNER": "1000000",
    "VIDEO_QUEUE_OWNER_QUOTA_BYTES": str(50 * 1024**3),
}


@contextmanager
def our_queue(
    place: Place, options: list[str], more: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run our queue, with `options` as a variant, and `more` variables."""
    variables = {
        "VIDEO_QUEUE_LISTEN": "127.0.0.1:0",
        "VIDEO_QUEUE_IDENTITY": str(place.certs / "video-queue"),
        "VIDEO_QUEUE_DATA": str(place.folder / "data"),
        **(more or {}),
    }
    with _ours("video_queue", options, variables, place.cores.behind, place.folder) as server:
        yield server


@contextmanager
def our_gateway(place: Place, queue: str, options: list[str]) -> Iterator[Server]:
    """Run our gateway in front of the queue at host:port, with `options` as a variant."""
    variables = {
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_IDENTITY": str(place.certs / "gateway"),
        "GATEWAY_QUEUE": queue,
        "SSL_CERT_FILE": "/dev/null",  # as in its image
    }
    with _ours("gateway", options, variables, place.cores.front, place.folder) as server:
        yield server


@contextmanager
def _ours(
    module: str, options: list[str], variables: Mapping[str, str], core: int, folder: Path
) -> Iterator[Server]:
    command = [sys.executable, "-m", module]
    if options:
        command = [sys.executable, "-m", "benchmarks.variants", module, *options]
    settings = {
        "LOG_FORMAT": "json",
        "PYTHONPATH": _PYTHONPATH,
        "REVOCATION_LISTS": "optional",  # a row of its own tells what they cost
        **_ROOM_FOR_ONE_CLIENT,
        **variables,
    }
    with serving(module, command, settings, core=core, folder=folder) as server:
        yield server


@contextmanager
def peer_stack(place: Place, kind: str) -> Iterator[Stack]:
    """Run a peer: `kind` is its name."""
    home = place.below(kind)
    variables = {
        "PROTOS": str(ROOT / "protos"),
        "PEER_LISTEN": "127.0.0.1:0",
        "PYTHONPATH": str(ROOT / "protos" / "gen") if kind == FASTAPI else _PYTHONPATH,
    }
    start_queue, start_gateway = _PEERS[kind]
    with ExitStack() as stack:
        queue = stack.enter_context(
            serving(
                "queue",
                start_queue,
                {**variables, "PEER_IDENTITY": str(place.certs / "video-queue")},
                core=place.cores.behind,
                folder=home.folder,
            )
        )
        identity = {"PEER_IDENTITY": str(place.certs / "gateway"), "PEER_QUEUE": queue.address}
        gateway = stack.enter_context(
            serving(
                "gateway",
                start_gateway,
                {**variables, **identity},
                core=place.cores.front,
                folder=home.folder,
            )
        )
        yield Stack(kind, gateway, queue)
