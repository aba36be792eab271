"""Everything that can be wrong with a certificate, ours or a server's, in order."""

from typing import Final

from doctor.ca_checks import CA_CHECKS
from doctor.chain import Chain
from doctor.checks import Check
from doctor.date_checks import DATE_CHECKS
from doctor.name_checks import NAME_CHECKS
from doctor.path_checks import PATH_CHECKS
from doctor.purpose_checks import PURPOSE_CHECKS
from doctor.strength_checks import STRENGTH_CHECKS
from doctor.strict_checks import STRICT_CHECKS

CHAIN_CHECKS: Final[tuple[Check[Chain], ...]] = (
    *PATH_CHECKS,
    *DATE_CHECKS,
    *PURPOSE_CHECKS,
    *NAME_CHECKS,
    *STRENGTH_CHECKS,
    *CA_CHECKS,
    *STRICT_CHECKS,
)
