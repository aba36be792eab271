"""What every process needs that is not mTLS: settings, logging, signals, health check."""
