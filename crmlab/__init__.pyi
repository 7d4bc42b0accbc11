"""The public names of crmlab: what `crmlab/__init__.py` loads, and what an editor completes."""

from crmlab import (
    actions as actions,
    behaviour as behaviour,
    btyd as btyd,
    chains as chains,
    contract as contract,
    course as course,
    datasets as datasets,
    evaluation as evaluation,
    generators as generators,
    models as models,
    plots as plots,
    policy as policy,
    prediction as prediction,
    reading as reading,
    stages as stages,
    tables as tables,
    testing as testing,
    transitions as transitions,
    value as value,
    warehouse as warehouse,
)
from crmlab.channels import (
    Bernoulli as Bernoulli,
    Channel as Channel,
    Geometric as Geometric,
    NegativeBinomial as NegativeBinomial,
    OrdinalSurvey as OrdinalSurvey,
    Poisson as Poisson,
    StageLabel as StageLabel,
    ZeroInflatedSpend as ZeroInflatedSpend,
)
from crmlab.course import (
    check as check,
    own_firm as own_firm,
    progress as progress,
    set_answer as set_answer,
)
from crmlab.errors import (
    DataError as DataError,
    DataWarning as DataWarning,
    SamplingWarning as SamplingWarning,
    SpecError as SpecError,
)
from crmlab.generators import (
    Generator as Generator,
    StageWorld as StageWorld,
    bank as bank,
    simulate as simulate,
)
from crmlab.inference import (
    Fit as Fit,
    fit as fit,
    load_fit as load_fit,
)
from crmlab.models import (
    HiddenMarkov as HiddenMarkov,
    ObservedMarkov as ObservedMarkov,
)
from crmlab.plots import (
    show as show,
    style as style,
)
from crmlab.prediction import (
    current_stage_probs as current_stage_probs,
    forecast as forecast,
    most_likely_path as most_likely_path,
    stage_probs as stage_probs,
)
from crmlab.stages import (
    K10 as K10,
    K10_MARGINS as K10_MARGINS,
    KNAPP as KNAPP,
    StageSpace as StageSpace,
)
from crmlab.tables import (
    CustomerTables as CustomerTables,
    read_tables as read_tables,
    split_holdout as split_holdout,
    to_panel as to_panel,
    write_tables as write_tables,
)
from crmlab.transitions import (
    CovariateLogit as CovariateLogit,
    StickyDirichlet as StickyDirichlet,
    TransitionModel as TransitionModel,
)
from crmlab.value import (
    customer_value as customer_value,
    expected_purchases as expected_purchases,
    expected_spend as expected_spend,
    lifetime_value as lifetime_value,
    per_year as per_year,
    prob_alive as prob_alive,
    stage_value as stage_value,
)

__version__: str
__all__: list[str]
