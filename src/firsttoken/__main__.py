"""`python -m firsttoken` is the command `firsttoken`."""

import sys

from firsttoken._cli import main

if __name__ == "__main__":  # pragma: no branch
    sys.exit(main())
