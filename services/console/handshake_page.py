"""A recorded handshake as one HTML page that needs nothing else, from disk or from anywhere.

Its script and style are inline, and named by their digests in the page's own content security
policy: whatever else finds its way into the page does not run. The handshake is in it as JSON, from
which the script draws text.
"""

import base64
import hashlib
import json
import re
from html import escape
from pathlib import Path
from typing import Final

from doctor.picture import picture
from doctor.recording import Recording

_SHARED: Final = Path(__file__).with_name("static") / "handshake"  # with the view
_OWN: Final = Path(__file__).with_name("exported")
_IMPORT: Final = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; {sources}">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="main"><noscript>This page is drawn by the script in it.</noscript></main>
<script type="application/json" id="recorded">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def page_of(recording: Recording) -> str:
    """Return the page. The same recording always makes the same page."""
    style = _text(_OWN / "page.css") + _text(_SHARED / "handshake.css")
    script = _text(_SHARED / "diagram.js") + _IMPORT.sub("", _text(_OWN / "page.js"))
    content = {"recording": recording.to_json(), "picture": picture(recording)}
    return _PAGE.format(
        sources=f"style-src {_digest(style)}; script-src {_digest(script)}",
        title=escape(f"A handshake between {recording.client} and {recording.server}, every byte"),
        style=style,
        # "</script" and "<!--" would end the element, whatever the quotes around them.
        data=json.dumps(content, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c"),
        script=script,
    )


def _text(path: Path) -> str:
    return path.read_text("utf-8")


def _digest(text: str) -> str:
    """Return a source of CSP, level 3: the digest of an inline element's text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
