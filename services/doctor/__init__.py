"""Finds out why mutual TLS does not work: in certificate files, and at a live endpoint.

What a check is, and how it is shown       checks, report
What is examined, in which order           examinations (with the list of all checks), command_line
Our files                                  files, file_checks
A certificate and its chain                chain, names, and the tables path_checks, date_checks,
                                           purpose_checks, name_checks, strength_checks, ca_checks,
                                           strict_checks
What OpenSSL and mtls say about it         rehearsal
A live endpoint                            endpoint, and the tables network_checks, server_checks,
                                           client_checks, call_checks
One connection, recorded                   connection, watch, messages, codes, calls
A handshake, shown                         timeline, decode
A handshake, recorded: for the console     recorder, both_ends, keylog; recording (as a file), and
                                           picture (as it is drawn), made of records, anatomy,
                                           der_anatomy and meaning

It knows nothing of this project's services or its CA: any endpoint and any certificate will do. It
needs `cryptography`, and for gRPC calls `grpcio`.
"""
