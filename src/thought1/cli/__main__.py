"""`python -m thought1.cli`, which is also what torchrun starts."""

import sys

from thought1.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
