"""The demo: what can be read from the records of two customer bases, as one page."""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
