"""What a view's handlers find in the application: `request.app[GATEWAY]`, and so on."""

from typing import Final

from mtls import IdentitySource

from aiohttp import web

from console.config import Config
from console.gateway import GatewayClient
from console.sight import Sight

CONFIG: Final = web.AppKey("CONFIG", Config)
IDENTITY: Final = web.AppKey("IDENTITY", IdentitySource)  # `.current`, `.client_context`
GATEWAY: Final = web.AppKey("GATEWAY", GatewayClient)
SIGHT: Final = web.AppKey("SIGHT", Sight)
