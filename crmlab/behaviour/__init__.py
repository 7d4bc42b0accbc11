"""How customers feel, compare, stay and talk: the behaviour behind what a firm records.

* `perception`: expectation and surprise, answers on a scale, silence
* `encounters`: what is remembered of a series of encounters
* `loyalty`: active or passive loyalty, and what a rival's entry reveals
* `word_of_mouth`: how far news travels, and what it is worth
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
