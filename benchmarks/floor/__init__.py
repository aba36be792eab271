"""The libraries' own floor: aiohttp and grpc.aio over the same mutual TLS, with constant answers.

What is not here is what a service adds: who may call, limits, messages, JSON, a store.
"""
