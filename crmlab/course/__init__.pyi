"""The public names of crmlab.course."""

from crmlab.course.firm import (
    own_firm as own_firm,
)
from crmlab.course.judging import (
    Verdict as Verdict,
)
from crmlab.course.keyring import (
    check as check,
    judge as judge,
    set_answer as set_answer,
)
from crmlab.course.learner_progress import (
    progress as progress,
)
from crmlab.course.outline import (
    course_table as course_table,
    plot_course_map as plot_course_map,
)
