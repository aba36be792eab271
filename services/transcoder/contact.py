"""Whether the queue can be reached: said once when it is lost, and once when it is found again."""

from mtls.address import Address

import structlog

_log = structlog.get_logger(__name__)


class Contact:
    """What is known of the way to the queue: at first nothing."""

    def __init__(self, queue: Address) -> None:
        self._queue = queue
        self._answers: bool | None = None

    @property
    def is_sure(self) -> bool:
        """Whether the queue has answered the last time it was asked."""
        return self._answers is True

    def found(self) -> None:
        """Take note of an answer, be it a refusal."""
        if self._answers is not True:
            _log.info("queue.reached", queue=str(self._queue))
        self._answers = True

    def lost(self, words: str) -> None:
        """Take note that there was none."""
        if self._answers is not False:
            _log.warning("queue.unreachable", queue=str(self._queue), words=words)
        self._answers = False
