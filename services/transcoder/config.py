"""The transcoder's settings: read once from the environment, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mtls.address import Address

from runtime.environment import Environment
from transcoder.sandbox.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """README.md says what each setting is for; times are in seconds."""

    identity: Path
    queue: Address
    work: Path
    limits: Limits
    wait_seconds: int
    call_seconds: float
    idle_seconds: float
    transfer_seconds: float
    heartbeat_seconds: float
    retry_seconds: float
    alive_file: Path | None
    needs_sandbox: bool
    log_format: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        env = Environment(variables)
        return cls(
            identity=env.path("TRANSCODER_IDENTITY"),
            queue=env.address("TRANSCODER_QUEUE"),
            work=env.path("TRANSCODER_WORK").absolute(),
            limits=_limits(env, Limits()),
            wait_seconds=env.integer("TRANSCODER_WAIT_SECONDS", 30, maximum=60),
            call_seconds=env.seconds("TRANSCODER_CALL_SECONDS", 10, minimum=0.1),
            idle_seconds=env.seconds("TRANSCODER_IDLE_SECONDS", 30, minimum=0.1),
            transfer_seconds=env.seconds("TRANSCODER_TRANSFER_SECONDS", 3600, minimum=1),
            heartbeat_seconds=env.seconds("TRANSCODER_HEARTBEAT_SECONDS", 1, minimum=0.01),
            retry_seconds=env.seconds("TRANSCODER_RETRY_SECONDS", 15, minimum=0.01),
            alive_file=env.optional_path("TRANSCODER_ALIVE_FILE"),
            needs_sandbox=env.choice("TRANSCODER_LET_VIDEOS_READ_THE_KEY", ("no", "yes"), "no")
            == "no",
            log_format=env.choice("LOG_FORMAT", ("console", "json"), "console"),
        )


def _limits(env: Environment, usual: Limits) -> Limits:
    return Limits(
        max_pixels=env.integer("TRANSCODER_MAX_PIXELS", usual.max_pixels, minimum=1),
        max_seconds=env.seconds("TRANSCODER_MAX_DURATION_SECONDS", usual.max_seconds),
        cpu_seconds=env.integer("TRANSCODER_CPU_SECONDS", usual.cpu_seconds, minimum=1),
        memory_bytes=env.integer("TRANSCODER_MEMORY_BYTES", usual.memory_bytes, minimum=1),
        output_bytes=env.integer("TRANSCODER_OUTPUT_BYTES", usual.output_bytes, minimum=1),
        stall_seconds=env.seconds("TRANSCODER_STALL_SECONDS", usual.stall_seconds, minimum=1),
        threads=env.integer("TRANSCODER_THREADS", usual.threads, minimum=1, maximum=64),
    )
