# SPDX-License-Identifier: Apache-2.0
"""Measures this project's rows, and writes the data file and the page.

Data sets are looked for where ``$STEMCORE_DATA`` says. Runs that ``make sim`` left in ``sim_build``
are taken over where they are of as many images.
"""

import json
from pathlib import Path

from stemcore.files import write_whole

from .ours import CASES, report_of, row_of
from .page import page
from .quoted import ROWS

DATA_FILE = Path(__file__).with_name("peers.json")
PAGE = Path(__file__).parents[2] / "docs" / "peers.md"


def main() -> None:
    """Everything; nothing is written where one run fails."""
    rows = []
    for case in CASES:
        print(case.command, flush=True)
        rows.append(row_of(case, report_of(case)))
    found = [row.to_dict() for row in (*rows, *ROWS)]
    write_whole(DATA_FILE, json.dumps(found, indent=1) + "\n")
    write_whole(PAGE, page(found))
    print(f"wrote        {DATA_FILE} and {PAGE}")


if __name__ == "__main__":
    main()
