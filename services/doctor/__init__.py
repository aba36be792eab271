"""Finds out why mutual TLS does not work: in certificate files, and at a live endpoint.

What a check is, and what comes of it      checks, report
The files and the key in them              files, pem, file_checks
A certificate, and the CAs above it       chain, chain_checks (which lists them all), names
What OpenSSL itself thinks of it           rehearsal, trust
A connection, watched and recorded         target, connection, watch, attempt
What was said on it                        wire, messages, distinguished, codes, alert_words
What the two say to a live endpoint        endpoint, network_checks, server_checks, client_checks,
                                           refusal, calls, call_checks
A handshake, shown                         decode, timeline
The command line                           arguments, password, command_line, examinations

It knows nothing of this project's services or its CA: any endpoint and any certificate will do. It
needs `cryptography`, and for gRPC calls `grpcio`.
"""
