"""Reports: pages worth reading, written from fits. The demo is the first."""

from crmlab.report.demo import write_demo

__all__ = ["write_demo"]
