"""`python -m spyglass_cli` is `spyglass`, where the scripts are not on the path."""

import sys

from spyglass_cli.main import main

sys.exit(main())
