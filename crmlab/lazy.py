"""Names that load when they are first used: a package offers the names in its stub.

``__init__.pyi`` lists the public names of a package. Editors and type checkers read it, and the
package reads the same file, so the two never disagree, and importing a package costs next to
nothing.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple


class Names(NamedTuple):
    """What a package needs to load its names lazily."""

    load: Callable[[str], object]  # its __getattr__
    show: Callable[[], list[str]]  # its __dir__
    public: list[str]  # its __all__


def attach_stub(package: str, file: str) -> Names:
    """Return `__getattr__`, `__dir__` and `__all__` of a package, from the stub beside its file.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    file : str
        The package's ``__file__``.

    Examples
    --------
    >>> import crmlab
    >>> load, show, public = attach_stub("crmlab", crmlab.__file__)
    >>> "StageSpace" in public, load("StageSpace").__module__
    (True, 'crmlab.stages')
    """
    home_of = read_stub(Path(file).with_suffix(".pyi"))
    public = sorted(home_of)

    def load(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = home_of[name]
        inside = home == package  # a module of the package itself, such as crmlab.value
        value = import_module(f"{home}.{name}") if inside else getattr(import_module(home), name)
        setattr(sys.modules[package], name, value)
        return value

    return Names(load, lambda: [*public, *vars(sys.modules[package])], public)


def read_stub(stub: Path) -> dict[str, str]:
    """Return name -> module for every import of a stub."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return {alias.name: str(node.module) for node in imports for alias in node.names}
