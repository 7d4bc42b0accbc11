"""The demo: what can be read from the records of two customer bases, as one page."""

from crmlab.demo.writing import write_demo

__all__ = ["write_demo"]
