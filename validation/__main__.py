"""The slow studies, by name: ``python -m validation calibration --minutes 30``.

Without a name, they are listed. `python -m validation NAME --help` says what one of them can do.
"""

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
STUDIES = (
    "calibration",
    "planted",
    "knapp",
    "effects",
    "value_truth",
    "kill",
    "retention_panel",
    "weak_data",
)


def main(words: list[str]) -> int:
    """Run one study; without a name say which there are."""
    if not words or words[0] not in STUDIES:
        for name in STUDIES:
            first = (HERE / f"{name}.py").read_text(encoding="utf-8").splitlines()[0]
            print(f"{name:<12} {first.strip(chr(34))}")
        return 0 if not words or words[0] in ("-h", "--help") else 2
    sys.argv = words
    runpy.run_module(f"validation.{words[0]}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
