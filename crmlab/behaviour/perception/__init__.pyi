"""The public names of crmlab.behaviour.perception."""

from crmlab.behaviour.perception.answers import (
    answer_probs as answer_probs,
)
from crmlab.behaviour.perception.expectation import (
    Confirmation as Confirmation,
    follow_expectation as follow_expectation,
    learning_gains as learning_gains,
    satisfaction as satisfaction,
    when_gap_opens as when_gap_opens,
)
from crmlab.behaviour.perception.scores import (
    Score as Score,
    net_promoter as net_promoter,
    top_box as top_box,
)
from crmlab.behaviour.perception.silence import (
    nonresponse_bias as nonresponse_bias,
    shares_seen as shares_seen,
    weigh_answers as weigh_answers,
)
