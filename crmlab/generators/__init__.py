"""Worlds: specifications that make tables and the truth behind them.

Random numbers have addresses (seed, purpose, customer, period), so neither more customers nor
another order of the work changes anybody.

Running a world (`base`):

* `simulate`: run a world: customers whose truth is known
* `Generator`: the base class of worlds; the class to extend
* `Streams`: the random numbers of a world, by address

Worlds (`stage_world`, `memory`, `confounding`):

* `StageWorld`: customers who move by one transition matrix
* `DwellingWorld`: customers who move less the longer they are in a stage
* `ScarWorld`: customers who do not forget that they once came apart
* `memory_gap`: how far a world is from a first-order chain
* `confounded_world`: a firm that calls those who seem to be leaving
* `bank`: Banque Méridienne, the largest world

The truth about policies (`confounding`, `twins`):

* `true_value`: the value of a customer under a policy, by simulation
* `true_effects`: what a policy does to each customer, by twins
* `true_regrets`: what each policy loses against the best of them
* `expected_value`: the mean value of a customer under a policy, without simulation
* `expected_contrast`: the true effect of an action and the naive one, by formula

Data sets, and students' own worlds (`partitions`, `variants`):

* `write_dataset`: simulate a world into partitioned files, whatever its size
* `read_dataset`: read a data set, or some of its parts
* `verify_dataset`: compare every file with its checksum
* `own_world`: the world of one student
* `own_tables`: the tables of one student, with their truth
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
