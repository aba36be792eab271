"""The services with one thing changed, to see what that thing costs. For benchmarks alone.

`python -m benchmarks.variants gateway --transport plain` is the gateway without TLS, and so on. A
part is put in the place of another from outside: the services have no switch for any of this.
"""
