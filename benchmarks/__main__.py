"""All tables of `benchmarks/`, one after the other: ``PYTHONPATH=. python benchmarks``.

    PYTHONPATH=. python benchmarks            # some minutes
    PYTHONPATH=. python benchmarks --full     # the sizes that results.md speaks of: an hour

Each table runs in a process of its own. Peers (JAX, NumPyro, hmmlearn) join where they are
installed. The versions come first.
"""

import argparse
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = (
    "numpy", "numba", "pytensor", "pymc", "nutpie", "jax", "numpyro", "hmmlearn", "pymc-extras",
)  # fmt: skip
QUICK = (
    ("kernels.py", "--stages", "5"),
    ("first_draw.py",),
    ("sampling.py", "--draws", "300", "--limit", "240"),
    ("large.py",),
    ("worlds.py",),
    ("orders.py",),
    ("value.py", "--customers", "50000"),
)
FULL = (
    ("kernels.py",),
    ("first_draw.py",),
    ("sampling.py",),
    ("large.py", "--full"),
    ("worlds.py", "--full"),
    ("orders.py", "--full"),
    ("value.py",),
    ("cdnow.py", "--stages"),
)


def versions() -> str:
    """Say which versions are compared."""
    found = [f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def main() -> int:
    """Run every table; give the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    failed = 0
    print(f"{versions()}; {platform.machine()}", flush=True)
    for script, *options in FULL if parser.parse_args().full else QUICK:
        print(f"\n## {script}\n", flush=True)
        failed += subprocess.run([sys.executable, HERE / script, *options], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
