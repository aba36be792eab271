"""The still picture that stands for a video."""

from pathlib import Path
from typing import Final

from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from transcoder.media.facts import Colour
from transcoder.media.pictures import filter_graph
from transcoder.media.renditions import Size

_FORMAT: Final = "gbrp16le"  # whose numbers are enough for light
# ITU-T H.273: the transfer characteristics of HDR. Both are shown on screens that are brighter than
# white, so that on one that is not, white would be grey.
_PQ: Final = 16
_HLG: Final = 18
# Light, in shares of the white of BT.2408, from the share `e` of the largest number: BT.2100,
# tables 4 and 5. HLG is shown at 1000 nits, where its gamma is 1.2.
_LIGHT: Final = {
    _PQ: "st(0,pow(val/maxval,1/78.84375));"
    "pow(max(ld(0)-0.8359375,0)/(18.8515625-18.6875*ld(0)),1/0.1593017578125)*10000/203",
    _HLG: "st(0,val/maxval);"
    "pow(if(lte(ld(0),0.5),ld(0)*ld(0)/3,(exp((ld(0)-0.55991073)/0.17883277)+0.28466892)/12),1.2)"
    "*1000/203",
}
# A curve that is a line up to half of white, and reaches the largest number at 1000 nits (the form
# is that of FFmpeg's filter tonemap=mobius).
_DIMMED: Final = (
    "st(1,{light});if(lte(ld(1),0.5),ld(1),min(1,1.0643*(ld(1)-0.2352)/(ld(1)+0.0634)))"
)
_GAMMA: Final = "maxval*pow(val/maxval,1/2.2)"
# From the red, green and blue of BT.2020 to those of BT.709: ITU-R BT.2407, section 2.
_BT2020: Final = 9
_TO_BT709: Final = (
    "rr=1.6605:rg=-0.5876:rb=-0.0728:gr=-0.1246:gg=1.1329:gb=-0.0083"
    ":br=-0.0182:bg=-0.1006:bb=1.1187"
)


class Thumbnail:
    """A JPEG file of the first picture that is offered, until there is a better one.

    The first picture of many videos is black, so the one at `at_seconds` takes its place.
    """

    def __init__(self, path: Path, at_seconds: float, colour: Colour) -> None:
        self._path = path
        self._moments = [at_seconds, 0.0]
        self._colour = colour

    def offer(self, picture: VideoFrame) -> None:
        """Save the picture if it is the one at the next moment."""
        if self._moments and (picture.time or 0) >= self._moments[-1]:
            self._moments.pop()
            if self._colour.transfer in _LIGHT:
                picture = _without_hdr(picture, self._colour)
            # The one meaning that the numbers in a JPEG file have: ITU-T T.871, section 7.
            jpeg = picture.reformat(format="yuvj420p", dst_colorspace=Colorspace.ITU601)
            jpeg.save(self._path)


def _without_hdr(picture: VideoFrame, colour: Colour) -> VideoFrame:
    """Return the picture as a screen without HDR shows it, in red, green and blue."""
    numbers = picture.reformat(format=_FORMAT)
    dimmed = f"maxval*({_DIMMED.format(light=_LIGHT[colour.transfer])})"
    graph = filter_graph(
        Size(numbers.width, numbers.height),
        [
            ("lutrgb", f"r='{dimmed}':g='{dimmed}':b='{dimmed}'"),
            *([("colorchannelmixer", _TO_BT709)] if colour.primaries == _BT2020 else []),
            ("lutrgb", f"r='{_GAMMA}':g='{_GAMMA}':b='{_GAMMA}'"),
        ],
        pixel_format=_FORMAT,
    )
    graph.vpush(numbers)
    return graph.vpull()
