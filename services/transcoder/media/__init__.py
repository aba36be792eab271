"""Everything that knows FFmpeg: from a source to renditions and a thumbnail."""

from transcoder.job import Job, Output
from transcoder.media import errors
from transcoder.media.renditions import RENDITIONS, THUMBNAIL, file_name

JOB = Job(
    module="transcoder.media.convert",
    outputs=(
        *(Output(it.name, file_name(it.name), "video/mp4") for it in RENDITIONS),
        Output(THUMBNAIL, file_name(THUMBNAIL), "image/jpeg", is_required=True),
    ),
    errors=(
        errors.NotAVideo,
        errors.NoPictures,
        errors.EndsTooEarly,
        errors.Undecodable,
        errors.UnsupportedCodec,
        errors.TooLong,
        errors.TooManyPixels,
    ),
)
