# SPDX-License-Identifier: Apache-2.0
"""Runs the Python lines of a Markdown file, one block after the other, as a reader would.

``python .ci/readme_lines.py README.md``; fails where there are none.
"""

import re
import sys
from pathlib import Path

path = Path(sys.argv[1])
blocks = re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
if not blocks:
    sys.exit(f"{path}: must have a block of Python lines, has none")
names = {"__name__": "__main__"}
for number, block in enumerate(blocks, 1):
    exec(compile(block, f"{path.name}, block {number}", "exec"), names)
