"""`python -m kdlearn`."""

import sys

from kdlearn.cli import main

sys.exit(main())
