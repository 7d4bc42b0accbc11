"""Worlds: specifications that make tables and the truth behind them.

A world is drawn at addresses (seed, purpose, customer, period), so that more customers or another
order of the work change nobody. `simulate` runs a world; `crmlab.generators.bank` is the largest.
"""

from crmlab.generators import bank
from crmlab.generators.base import Generator, simulate
from crmlab.generators.confounding import confounded_world, expected_contrast, expected_value
from crmlab.generators.memory import DwellingWorld, ScarWorld, memory_gap
from crmlab.generators.partitions import read_dataset, verify_dataset, write_dataset
from crmlab.generators.stage_world import StageWorld
from crmlab.generators.twins import true_effects, true_regrets, true_value
from crmlab.generators.variants import own_tables, own_world
from crmlab.streams import Streams

__all__ = [
    "DwellingWorld",
    "Generator",
    "ScarWorld",
    "StageWorld",
    "Streams",
    "bank",
    "confounded_world",
    "expected_contrast",
    "expected_value",
    "memory_gap",
    "own_tables",
    "own_world",
    "read_dataset",
    "simulate",
    "true_effects",
    "true_regrets",
    "true_value",
    "verify_dataset",
    "write_dataset",
]
