"""The public names of crmlab.behaviour.encounters."""

from crmlab.behaviour.encounters.design import (
    best_contacts as best_contacts,
    best_order as best_order,
    contact_response as contact_response,
)
from crmlab.behaviour.encounters.feelings import (
    adjust_encounters as adjust_encounters,
    prospect_value as prospect_value,
)
from crmlab.behaviour.encounters.links import (
    all_go_well as all_go_well,
    message_agreement as message_agreement,
    power_mean as power_mean,
)
from crmlab.behaviour.encounters.memory import (
    remember_mean as remember_mean,
    remember_peak_end as remember_peak_end,
    remember_sum as remember_sum,
)
