"""The public names of crmlab.reading."""

from crmlab.reading.events import (
    EventFile as EventFile,
    Events as Events,
    read_events as read_events,
)
from crmlab.reading.files import (
    read_raw as read_raw,
)
from crmlab.reading.options import (
    ReadingOptions as ReadingOptions,
)
from crmlab.reading.privacy import (
    is_formula as is_formula,
    neutralise as neutralise,
    pseudonymise as pseudonymise,
    read_key as read_key,
)
from crmlab.reading.quality import (
    Decision as Decision,
    Finding as Finding,
    Quality as Quality,
)
from crmlab.reading.sales import (
    Sales as Sales,
    read_sales as read_sales,
)
