"""Private keys that are no secret, since they are in a wheel that anybody can download."""

import re
from typing import Final

# GnuTLS tests itself with keys of its own, and FFmpeg's wheel brings it along.
PUBLIC_KEYS: Final = re.compile(r"/av\.libs/libgnutls-[^/]+$")
