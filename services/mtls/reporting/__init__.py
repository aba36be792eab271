"""Reports what the core observes; importing it takes GRPC_VERBOSITY out of the environment.

    reporter = Reporter()
    with reporter.reading_core_log("grpc"):     # an entry point does this: it moves descriptor 2
        configure_logging("json")               # and this: it changes the root logger
        ... watch_identity(folder, Role.SERVER, observer=reporter)

gRPC's C-core takes the variable for good if it is there when grpc is imported. Then a server whose
surroundings ask for silence could not say why it refused a handshake.
"""

import os

os.environ.pop("GRPC_VERBOSITY", None)

from mtls.reporting.events import Reporter, audit_of, configure_logging
from mtls.reporting.metrics_endpoint import serving_metrics

__all__ = ["Reporter", "audit_of", "configure_logging", "serving_metrics"]
