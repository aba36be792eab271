"""The view "Certificates": what is served now, and requests that go on while it is replaced."""

from aiohttp import web


def add(app: web.Application) -> None:
    """Add this view's routes, and what they need: nothing yet."""
