"""Banque Méridienne, an invented bank: levers, latent relationships, and every table they leave.

levers → people → relationship (tilts of a transition matrix, period by period) → touchpoints,
transactions, feedback (surveys, complaints, posts), ledger (customers, events, actions, ties)
→ world. `description` says what a bank is, `dictionary` what its columns mean, `presets` has
ready-made banks, `contrast` the true effect beside the naive one.
"""

from crmlab.generators.bank.contrast import BankContrast, bank_contrast
from crmlab.generators.bank.description import describe
from crmlab.generators.bank.dictionary import data_dictionary
from crmlab.generators.bank.levers import Levers, quiet_levers
from crmlab.generators.bank.network import community_graph, reach_shares
from crmlab.generators.bank.presets import (
    confounded_bank,
    dismissing_bank,
    dwelling_bank,
    passive_bank,
    scarred_bank,
    shocked_bank,
    silent_bank,
    stageless_bank,
    three_stage_bank,
    varied_bank,
    well_specified_bank,
)
from crmlab.generators.bank.world import Bank

__all__ = [
    "Bank",
    "BankContrast",
    "Levers",
    "bank_contrast",
    "community_graph",
    "confounded_bank",
    "data_dictionary",
    "describe",
    "dismissing_bank",
    "dwelling_bank",
    "passive_bank",
    "quiet_levers",
    "reach_shares",
    "scarred_bank",
    "shocked_bank",
    "silent_bank",
    "stageless_bank",
    "three_stage_bank",
    "varied_bank",
    "well_specified_bank",
]
