"""The view "Who may do what"."""

from aiohttp import web


def add(app: web.Application) -> None:
    """Add this view's routes, and what they need: nothing yet."""
