"""Loyalty: who stays because they want to, and who stays because they have nowhere to go.

Both keep coming back, so behaviour alone cannot tell them apart; the entry of a rival can.

Attitude, switching cost and alternatives (`ties`):

* `Ties`: how they weigh in the decision to stay
* `loyalty_type`: loyal, latent, spurious or none

What a rival's entry reveals (`mistake`):

* `mistake_passive`: the customers lost when passive loyalty was taken for active
* `shares_among_leavers`: the share of each group among those who left
* `passive_share_from_leavers`: the share of passive customers, from the leavers
* `Mistake`: what `mistake_passive` returns
* `ShareEstimate`: a share and its standard error

Classes and engagement (`classes`, `engagement`):

* `fit_classes`: latent classes behind yes-or-no indicators
* `LatentClasses`: what `fit_classes` returns
* `prob_engaged`: the probability of engagement, from satisfaction and experience

References
----------
Dick & Basu (1994), *Journal of the Academy of Marketing Science* 22(2), 99-113.
Ganesh, Arnold & Reynolds (2000), *Journal of Marketing* 64, on active and passive loyalty (from
memory).
Rows of the source map: C10, D7, D17, D46, D59 to D61.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
