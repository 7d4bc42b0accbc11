"""The public names of crmlab.inference."""

from crmlab.inference.fitting import (
    fit as fit,
)
from crmlab.inference.result import (
    Fit as Fit,
    load_fit as load_fit,
)
