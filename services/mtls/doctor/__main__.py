"""Start the doctor: `python -m mtls.doctor`."""

import sys

from mtls.doctor.command_line import main

if __name__ == "__main__":
    sys.exit(main())
