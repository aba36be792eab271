"""Row 7: making all certificates, from the start of the process on."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.processes import on_core
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import Place
from local_stack import ROOT

_OURS: Final = "ours"
_RSA: Final = "openssl, RSA-2048"
_EC: Final = "openssl, ECDSA P-256"
_KEYS: Final = {
    _RSA: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
    _EC: "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
}
_LEAVES: Final = ("web-server", "video-queue", "high-quality-worker")


def against_openssl(place: Place, scale: Scale) -> Iterator[Measure]:
    """Our two CAs and all identities, against a tutorial's one CA and three leaves."""
    home = place.below("bootstrap").folder
    samples = scale.rounds.alternate(
        {
            _OURS: partial(_measure, home, place.cores.front, _bootstrap),
            _RSA: partial(_measure, home, place.cores.front, partial(_tutorial, _KEYS[_RSA])),
            _EC: partial(_measure, home, place.cores.front, partial(_tutorial, _KEYS[_EC])),
        }
    )
    for theirs, bar in ((_RSA, None), (_EC, 1.1)):
        for figure, title, unit in (
            ("wall", "all certificates from nothing", "ms"),
            ("cpu", "CPU of all certificates from nothing", "CPU ms"),
        ):
            yield compare(
                samples,
                _OURS,
                theirs,
                figure,
                row="7",
                title=title,
                unit=unit,
                bar=bar if figure == "wall" else None,
            )


def _measure(home: Path, core: int, make: Callable[[Path], None]) -> Sample:
    folder = home / "certs"
    folder.mkdir()
    cpu, begin = _children_seconds(), time.perf_counter()
    with on_core(core):
        make(folder)
    wall, cpu = time.perf_counter() - begin, _children_seconds() - cpu
    shutil.rmtree(folder)
    return {"wall": wall * 1000, "cpu": cpu * 1000}


def _children_seconds() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _bootstrap(folder: Path) -> None:
    _run([sys.executable, ROOT / "scripts" / "bootstrap_certs.py", "--folder", folder], ROOT)


def _tutorial(key: str, folder: Path) -> None:
    """Run the eleven commands that most tutorials show.

    A key and a certificate for the CA; then for each of three a key, a request and a certificate.
    """

    def openssl(arguments: str) -> None:
        _run(["openssl", *arguments.split()], folder)

    openssl(f"genpkey {key} -out ca-private-key.pem")
    openssl(
        "req -x509 -new -key ca-private-key.pem -sha256 -days 365 -subj /CN=ca -extensions v3_ca "
        "-out ca-certificate.crt"
    )
    for name in _LEAVES:
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl(f"genpkey {key} -out {name}-private-key.pem")
        openssl(f"req -new -key {name}-private-key.pem -subj /CN={name} -out {name}.csr")
        openssl(
            f"x509 -req -in {name}.csr -CA ca-certificate.crt -CAkey ca-private-key.pem "
            f"-CAcreateserial -sha256 -days 365 -extfile {name}.ext -out {name}-certificate.crt"
        )


def _run(command: Sequence[str | Path], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} has failed: {done.stderr.decode()[-1000:]}")
