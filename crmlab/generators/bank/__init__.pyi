"""The public names of crmlab.generators.bank."""

from crmlab.generators.bank.contrast import (
    BankContrast as BankContrast,
    bank_contrast as bank_contrast,
)
from crmlab.generators.bank.description import (
    describe as describe,
)
from crmlab.generators.bank.dictionary import (
    data_dictionary as data_dictionary,
)
from crmlab.generators.bank.levers import (
    Levers as Levers,
    quiet_levers as quiet_levers,
)
from crmlab.generators.bank.network import (
    community_graph as community_graph,
    reach_shares as reach_shares,
)
from crmlab.generators.bank.presets import (
    confounded_bank as confounded_bank,
    dismissing_bank as dismissing_bank,
    dwelling_bank as dwelling_bank,
    passive_bank as passive_bank,
    scarred_bank as scarred_bank,
    shocked_bank as shocked_bank,
    silent_bank as silent_bank,
    stageless_bank as stageless_bank,
    three_stage_bank as three_stage_bank,
    varied_bank as varied_bank,
    well_specified_bank as well_specified_bank,
)
from crmlab.generators.bank.world import (
    Bank as Bank,
)
