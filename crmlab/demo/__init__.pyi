"""The public names of crmlab.demo."""

from crmlab.demo.writing import (
    write_demo as write_demo,
)
