"""Start the doctor: `python -m doctor`."""

import sys

from doctor.command_line import main

if __name__ == "__main__":
    sys.exit(main())
