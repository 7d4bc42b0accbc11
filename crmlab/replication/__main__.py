"""``python -m crmlab.replication``: recompute the ledger and print it."""

import sys

from crmlab.replication.ledger import main

if __name__ == "__main__":
    sys.exit(main())
