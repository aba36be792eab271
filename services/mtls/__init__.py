"""Mutual TLS for gRPC and aiohttp services: the only TLS code of this repository.

Which identity am I           identity, certificates, spiffe
When does it change           identity_watch, identity_source
How do I build an endpoint    grpc_endpoint, grpc_channel, http_endpoint, http_listener
Who is my peer                peer
Does its certificate count    standing, revocation, http_connections
What may it do                policy, grpc_authorization, http_authorization
Why was a peer refused        refusals, alerts and presented (HTTP), core_log (gRPC), events
How often                     metrics, metrics_endpoint
Why can I not connect         probe, channel_watch
How is a service configured   environment
Is a service alive            healthcheck
"""

import os
import sys

# gRPC's C-core has no setting for the lowest TLS version and would take 1.2. It has one for the
# cipher suites of TLS 1.2 (those of 1.3 cannot be taken away), so TLS 1.2 is left with a single
# suite, which needs a pre-shared key. Nobody has one, so no handshake below TLS 1.3 succeeds.
# The C-core reads the variable once, when grpc is imported, so this package has to come first.
_VARIABLE, _TLS_1_3_ONLY = "GRPC_SSL_CIPHER_SUITES", "ECDHE-PSK-AES128-CBC-SHA"

if "grpc" in sys.modules and os.environ.get(_VARIABLE) != _TLS_1_3_ONLY:
    raise ImportError("Import mtls before grpc: only then is gRPC limited to TLS 1.3.")
os.environ[_VARIABLE] = _TLS_1_3_ONLY

# The C-core takes this one for good too if it is there by now. Then a server whose surroundings ask
# for silence could not say why it refused a handshake: core_log sets it, and nobody else.
os.environ.pop("GRPC_VERBOSITY", None)
