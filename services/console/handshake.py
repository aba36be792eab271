"""The view "A handshake, as it happened"."""

from aiohttp import web


def add(app: web.Application) -> None:
    """Add this view's routes, and what they need: nothing yet."""
