"""The demo: two customer bases, read from their records, written down as one page."""

from crmlab.demo.writing import write_demo

__all__ = ["write_demo"]
