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


class NotAVideo(MediaError):
    """This is not a video: upload an MP4, MOV, WebM or MKV file."""


class NoPictures(MediaError):
    """There are no moving pictures in this file: upload one that has a video track."""


class EndsTooEarly(MediaError):
    """The file ends too early or is damaged: upload it again."""


class Undecodable(MediaError):
    """No picture can be decoded: there is none, or all are damaged or larger than allowed."""


class UnsupportedCodec(MediaError):
    """The video is compressed in a way that is not supported: convert it to H.264 and AAC."""


class TooLong(MediaError):
    """The video is longer than allowed: upload a shorter one."""


class TooManyPixels(MediaError):
    """The pictures of this video are larger than allowed: upload a smaller version."""


class TooManyStreams(MediaError):
    """The file has more tracks than allowed: upload one with a video and an audio track."""


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
    """The conversion was ended, perhaps for want of memory: upload a smaller version."""
