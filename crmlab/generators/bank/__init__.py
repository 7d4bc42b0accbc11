"""Banque Méridienne, an invented bank: levers, latent relationships, and every table they leave.

levers → people → relationship (tilts of a transition matrix, period by period) → touchpoints,
transactions, feedback (surveys, complaints, posts), ledger (customers, events, actions, ties)
→ world.

A bank and what it is made of:

* `Bank`: the world; `crm.simulate` makes its tables
* `Levers`: everything that can be set, by subject
* `quiet_levers`: levers with every effect at 0
* `describe`: a bank as tables, before anything is simulated
* `data_dictionary`: every column of every table

Ready-made banks (`presets`):

* `well_specified_bank`: a stage model is exactly right here
* `varied_bank`: customers differ for reasons that no column shows
* `confounded_bank`: those who are about to leave are treated, so naive comparisons are wrong
* `silent_bank`: the dissatisfied do not answer
* `passive_bank`: part of the loyalty is passive, until a rival enters
* `dwelling_bank`: the longer customers are in a stage, the less they move
* `scarred_bank`: each crossing leaves a scar
* `shocked_bank`: life events, and a scandal in period 20
* `dismissing_bank`: the bank itself ends relationships
* `stageless_bank`: no stages: customers buy until they silently stop
* `three_stage_bank`: three stages instead of ten

Questions to ask of it (`contrast`, `network`):

* `bank_contrast`: the true effect of an action and the naive one
* `BankContrast`: what `bank_contrast` returns
* `community_graph`: who talks to whom and who referred whom
* `reach_shares`: the share of negative posts that reach many people
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
