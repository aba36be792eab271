"""The reasons for which a video cannot be converted: each tells the person who uploaded it why."""

from transcoder.errors import MediaError


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
