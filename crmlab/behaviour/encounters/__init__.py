"""Encounters: what a customer remembers of a series of them, and how to arrange one.

An encounter is a number: how good (above 0) or bad (below 0) it felt. A relationship is the sum
of small encounters, says one claim; people keep the peak and the end, says another. Both are
functions from the series so far to a memory, so they can be compared on the same customers. The
rest is design: which encounters to join or separate, in which order, how often, and how one bad
link spoils a chain.

What an encounter feels like (`feelings`):

* `prospect_value`: the felt value of gains and losses
* `adjust_encounters`: the effect of choice and of broken rituals

What is remembered (`memory`):

* `remember_sum`: a sum that fades
* `remember_mean`: the mean of all so far
* `remember_peak_end`: a mix of the strongest and the latest

Design (`design`):

* `best_order`: the order of the steps that leaves the best memory
* `contact_response`: the effect of the number of contacts: up, then down
* `best_contacts`: the number of contacts with the largest net response

Chains (`links`):

* `all_go_well`: the probability that every contact goes well
* `power_mean`: one score for several pillars, from additive to weakest link
* `message_agreement`: the probability that two channels say the same

References
----------
Kahneman, Fredrickson, Schreiber & Redelmeier (1993), *Psychological Science* 4 (from memory).
Thaler (1985), *Marketing Science* 4 (from memory).
Chase & Dasu (2001), *Harvard Business Review*, on five principles of encounters.
Rows of the source map: C8, C9, C11, C12, C14, C15, C19, D48 to D54, D74.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
