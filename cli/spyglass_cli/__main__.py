"""`python -m spyglass_cli`: the same as `spyglass`, if its script is not on the path."""

import sys

from spyglass_cli.main import main

sys.exit(main())
