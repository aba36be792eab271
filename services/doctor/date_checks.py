"""Dates, and clocks that may be wrong."""

import datetime as dt
from typing import Final

from doctor.chain import Chain, describe, join
from doctor.checks import Check, Finding, failed, note, ok

_SKEW: Final = dt.timedelta(days=1)  # a certificate "from tomorrow" means a wrong clock
_FRESH: Final = dt.timedelta(minutes=1)


def _dates(chain: Chain) -> Finding:
    for certificate in chain.path:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if chain.now > end:
            return failed(
                f"{describe(certificate)} expired {_span(chain.now - end)} ago, at {_time(end)}.",
                "Have it issued again, then restart or reload the programs that use it.",
            )
        if chain.now < begin:
            wait = begin - chain.now
            cause = (
                f"{describe(certificate)} is not valid before {_time(begin)}, in {_span(wait)}; "
                f"this machine's clock says {_time(chain.now)}."
            )
            if wait <= _SKEW:
                return failed(
                    cause + " That is so soon that a clock is probably wrong: this one, or the "
                    "CA's.",
                    "Compare the clocks and set the wrong one.",
                    "date -u; timedatectl status",
                )
            return failed(cause, "Wait, or have it issued again for the present.")
    return _dates_beside(chain) or _dates_soon(chain)


def _dates_beside(chain: Chain) -> Finding | None:
    """Look at what is sent and not used: OpenSSL ignores its dates, other libraries may not."""
    unused = [
        each
        for each in dict.fromkeys(chain.certificates)
        if each not in chain.path
        and not each.not_valid_before_utc <= chain.now <= each.not_valid_after_utc
    ]
    if not unused:
        return None
    return note(
        f"Sent too, not needed, and not valid today: {join(map(describe, unused))}. "
        "OpenSSL and gRPC ignore it; some older programs refuse the chain because of it.",
        f"Take it out of {chain.source}.",
    )


def _dates_soon(chain: Chain) -> Finding:
    begin, end = chain.leaf.not_valid_before_utc, chain.leaf.not_valid_after_utc
    left = end - chain.now
    said = f"Valid until {_time(end)}, for {_span(left)}."
    if left < (end - begin) / 10:
        return note(f"{said} Less than a tenth of its life is left.", "Renew it now.")
    if first := next((ca for ca in chain.authorities if ca.not_valid_after_utc < end), None):
        ends = _time(first.not_valid_after_utc)
        return note(f"{said} But {describe(first)} ends before it, at {ends}, and then so does it.")
    if chain.now - begin < _FRESH:
        return note(f"{said} It began {_span(chain.now - begin)} ago: a slower clock refuses it.")
    return ok(said)


def _time(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: dt.timedelta) -> str:
    seconds = int(span.total_seconds())
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if (count := seconds // length) >= 1:
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"


DATE_CHECKS: Final = (Check("dates", "Every certificate is valid today", _dates),)
