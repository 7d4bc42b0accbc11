"""Banque Méridienne, an invented bank: levers, latent relationships, and every table they leave.

levers → people → relationship (tilts of a transition matrix, period by period) → touchpoints,
transactions, voices (surveys, complaints, posts), ledger (customers, events, actions, ties)
→ world.
"""
