"""Commands of a page that read a container's log, which has a line a moment after the event."""

from tests.pages import Step


def patient(step: Step) -> str:
    """Return the command; it first waits for the log to have as many lines as the page shows."""
    if "docker compose logs" not in step.command:
        return step.command
    lines = len(step.output.strip().splitlines())
    wanted = f'[ "$({step.command} | wc -l)" -ge {lines} ]'
    return f"for _ in $(seq 60); do {wanted} && break; sleep 0.5; done\n{step.command}"
