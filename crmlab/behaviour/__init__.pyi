"""The public names of crmlab.behaviour."""

from crmlab.behaviour import (
    encounters as encounters,
    loyalty as loyalty,
    perception as perception,
    word_of_mouth as word_of_mouth,
)
