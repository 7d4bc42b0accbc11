"""crmlab: from relationship stages to customer value, with the uncertainty kept.

Customers move through stages (Knapp's ten, or a rival model). crmlab simulates customers whose
stages are known, infers stages from what a firm can see, and turns them into value and decisions.

Each public name is loaded when it is first used, so ``import crmlab`` costs next to nothing and
``python -m crmlab`` can set up a computer that has none of the packages yet. The names stand in
``__init__.pyi``, which editors and type checkers read too.
"""

import ast
from importlib import import_module
from pathlib import Path

__version__ = "0.1.0"


def _read_stub() -> dict[str, str]:
    """Return name -> module from the stub beside this file."""
    stub = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    imports = (node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom))
    return {alias.name: str(node.module) for node in imports for alias in node.names}


_HOME_OF = _read_stub()
__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'crmlab' has no attribute {name!r}")
    home = _HOME_OF[name]
    inside = home == __name__  # a namespace such as crmlab.value
    value = import_module(f"{home}.{name}") if inside else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *_HOME_OF])
