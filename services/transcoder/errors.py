"""What can go wrong with a video, and with the machine that works on it."""


class TranscoderError(Exception):
    """The transcoder cannot work now, through no fault of the video: try again later."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class CannotStart(TranscoderError):
    """The process that decodes videos does not start: the notes of this error say why."""


class NoRoom(TranscoderError):
    """There is no room for the renditions: free some on the transcoder's disk."""


class MediaError(TranscoderError):
    """This video has failed for good; the message tells the person who uploaded it why."""


class TooMuchWork(MediaError):
    """The video takes more computing time than allowed: upload a shorter or smaller one."""


class TooMuchMemory(MediaError):
    """The video takes more memory than allowed: upload a smaller version."""


class TooMuchOutput(MediaError):
    """The converted video is larger than allowed: upload a shorter one."""


class Stalled(MediaError):
    """The conversion made no progress for too long and was ended: the file may be damaged."""


class Crashed(MediaError):
    """The conversion broke down at this video: it may be damaged, or too large."""


class Killed(MediaError):
    """The conversion was ended, perhaps because memory ran out: upload a smaller version."""
