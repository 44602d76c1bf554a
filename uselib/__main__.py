"""`python -m uselib`."""

import sys

from uselib.cli import main

sys.exit(main())
