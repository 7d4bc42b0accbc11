"""The public names of crmlab.generators."""

from crmlab.generators import (
    bank as bank,
)
from crmlab.generators.base import (
    Generator as Generator,
    simulate as simulate,
)
from crmlab.generators.confounding import (
    confounded_world as confounded_world,
    expected_contrast as expected_contrast,
    expected_value as expected_value,
)
from crmlab.generators.memory import (
    DwellingWorld as DwellingWorld,
    ScarWorld as ScarWorld,
    memory_gap as memory_gap,
)
from crmlab.generators.partitions import (
    read_dataset as read_dataset,
    verify_dataset as verify_dataset,
    write_dataset as write_dataset,
)
from crmlab.generators.stage_world import (
    StageWorld as StageWorld,
)
from crmlab.generators.twins import (
    true_effects as true_effects,
    true_regrets as true_regrets,
    true_value as true_value,
)
from crmlab.generators.variants import (
    own_tables as own_tables,
    own_world as own_world,
)
from crmlab.streams import (
    Streams as Streams,
)
