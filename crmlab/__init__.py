"""crmlab: from relationship stages to customer value, with the uncertainty kept.

Customers move through stages (Knapp's ten, or a rival model). crmlab simulates customers whose
stages are known, infers stages from what a firm can see, and turns them into value and decisions.

Each public name is loaded when it is first used, so ``import crmlab`` costs next to nothing and
``python -m crmlab`` can set up a computer that has none of the packages yet. The names stand in
``__init__.pyi``, which editors and type checkers read too.
"""

from crmlab.lazy import attach_stub

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
