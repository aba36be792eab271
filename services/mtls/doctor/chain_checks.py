"""Everything that can be wrong with a certificate, ours or a server's, in order."""

from typing import Final

from mtls.doctor.ca_checks import CA_CHECKS
from mtls.doctor.chain import Chain
from mtls.doctor.checks import Check
from mtls.doctor.date_checks import DATE_CHECKS
from mtls.doctor.name_checks import NAME_CHECKS
from mtls.doctor.path_checks import PATH_CHECKS
from mtls.doctor.purpose_checks import PURPOSE_CHECKS
from mtls.doctor.strength_checks import STRENGTH_CHECKS
from mtls.doctor.strict_checks import STRICT_CHECKS

CHAIN_CHECKS: Final[tuple[Check[Chain], ...]] = (
    *PATH_CHECKS,
    *DATE_CHECKS,
    *PURPOSE_CHECKS,
    *NAME_CHECKS,
    *STRENGTH_CHECKS,
    *CA_CHECKS,
    *STRICT_CHECKS,
)
