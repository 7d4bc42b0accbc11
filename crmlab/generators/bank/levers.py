"""What a bank can do, and what its customers are like: the levers of the source documents.

Each group is about one subject. A knob at 0 moves nothing: with all of them at 0 (`quiet_levers`),
customers move by the bare transition matrix, and everybody is the same. The ids in brackets are
those of the map of the source documents. All numbers are invented.
"""

from dataclasses import dataclass, field

from crmlab.generators.bank.knobs import (
    LEVEL,
    NEED,
    NOT_NEGATIVE,
    PERIOD,
    SHARE,
    documented,
    knob,
    setting,
    silence,
)

_ODDS = "log-odds"
_PER_SD = "log-odds per SD"
_PER_PERIOD = "probability per customer and period"
_OF_PERIODS = "share of customer-periods"


@documented
@dataclass(frozen=True)
class Awareness:
    """First touch points, trials, and how well bank and customers come to know each other."""

    channel_pull: float = knob(
        0.8,
        "log-odds per unit of channel strength",
        "A10",
        "How much the channel of acquisition matters to moving on from the first stage",
    )
    message_fit: float = knob(
        0.2, _ODDS, "A10, A25", "Fit of the message: moving on from the first stage"
    )
    referral_share: float = knob(
        0.2,
        "share of newcomers",
        "A10, D62",
        "Newcomers whom a customer sent, if there is one who would",
        SHARE,
    )
    referral_lead: float = knob(
        0.3, _ODDS, "A11", "Moving on while experimenting, for those who were referred"
    )
    interactivity: float = knob(
        0.2, _ODDS, "A11", "Interactive trial: moving on from the second stage"
    )
    depth: float = knob(
        0.1, _ODDS, "A12", "Depth of mutual knowledge: deepening from the third stage on"
    )
    breadth: float = knob(
        0.1, _ODDS, "A12", "Breadth of mutual knowledge: against crossing from the third stage on"
    )


@documented
@dataclass(frozen=True)
class Traits:
    """What the nine behavioural traits of a customer do; each trait is standard normal."""

    adaptation: float = knob(0.2, _PER_SD, "D44, D45", "Deepening")
    trust: float = knob(0.25, _PER_SD, "D44, D45", "Against crossing from together to apart")
    commitment: float = knob(0.25, _PER_SD, "D44, D46", "Against leaving")
    communication: float = knob(0.2, "log rate per SD", "D44, D45", "Contacts with the bank")
    cooperation: float = knob(0.4, _PER_SD, "D44, D45", "Answering a survey")
    conflict_resolution: float = knob(0.3, _PER_SD, "D44, D46", "Repair")
    interdependence: float = knob(0.2, "log rate per SD", "D44, B17", "Transactions")
    past_satisfaction: float = knob(
        0.3, "units of satisfaction per SD", "D44", "Satisfaction with which a customer arrives"
    )
    power: float = knob(
        0.15, "log margin per SD", "D44, D47", "Margin that a customer negotiates away"
    )


@documented
@dataclass(frozen=True)
class Pillars:
    """The five pillars of an experience; together they draw customers closer, or push them off."""

    solutions: float = knob(0.2, "level", "D48", "Solutions", LEVEL)
    respect: float = knob(0.1, "level", "D48", "Respect", LEVEL)
    emotional_connection: float = knob(0.1, "level", "D48", "Emotional connection", LEVEL)
    fair_prices: float = knob(0.1, "level", "D48", "Fair prices", LEVEL)
    convenience: float = knob(0.2, "level", "D48", "Convenience", LEVEL)
    weakest_link: float = setting(
        0.5,
        "share",
        "C11, D48",
        "Weight of the weakest pillar; the rest is that of their mean",
        SHARE,
    )


@documented
@dataclass(frozen=True)
class Service:
    """Fit of the service to needs, and the ways in which customers are served."""

    need_level: float = knob(
        0.0,
        "log-odds per level",
        "A24, D27",
        "Shift of what customers look for, from utility (down) to co-creation (up)",
    )
    service_level: float = setting(3, "need level", "A24, D27", "Need level that is served", NEED)
    mismatch: float = knob(
        0.05,
        "log-odds per level",
        "A5, A24",
        "Crossing and leaving, for each level between need and service",
    )
    co_creation: float = knob(
        0.2, _ODDS, "D27, D29", "Deepening, for customers of the two highest need levels"
    )
    transactional_share: float = knob(
        0.15, "share of customers", "A5, B7", "Customers who are served sale by sale", SHARE
    )
    transactional_exit: float = knob(
        0.4, _ODDS, "A5, B7", "Leaving, for those who are served sale by sale"
    )
    dedicated_bond: float = knob(
        0.3, _ODDS, "B10", "Deepening, for customers with an account manager of their own"
    )
    self_service: float = knob(
        0.4, "log wait", "B11, D19", "Waiting that self-service saves its users"
    )
    peer_support: float = knob(
        0.3,
        "share of incidents",
        "B13",
        "Incidents that the community solves for its members",
        SHARE,
    )


@documented
@dataclass(frozen=True)
class Market:
    """Rivals, habit, power."""

    alternatives: float = knob(
        0.05, _ODDS, "D6, D7, A16", "Pull of rivals: crossing and leaving", NOT_NEGATIVE
    )
    power_asymmetry: float = knob(
        0.1,
        _ODDS,
        "D47",
        "Power of the bank: against leaving, at the same cost in satisfaction",
        NOT_NEGATIVE,
    )
    passive_share: float = knob(
        0.25, "share of customers", "D60", "Customers who stay for want of an alternative", SHARE
    )
    inertia: float = knob(0.5, _ODDS, "D60", "Against crossing and leaving, for passive customers")
    rival_pull: float = knob(
        0.0, _ODDS, "D61", "Leaving, for passive customers once a rival has entered", NOT_NEGATIVE
    )
    rival_period: float = setting(24, "period", "D61", "When the rival enters", PERIOD)


@documented
@dataclass(frozen=True)
class Stagnation:
    """Incidents, by their four causes: each spoils the experience and pushes towards apart."""

    innovation_lack: float = knob(0.01, _PER_PERIOD, "A17", "Lack of innovation", SHARE)
    low_standard: float = knob(0.02, _PER_PERIOD, "A17", "Low standard", SHARE)
    inconvenience: float = knob(0.02, _PER_PERIOD, "A17", "Inconvenience", SHARE)
    delays: float = knob(0.03, _PER_PERIOD, "A13, A17", "Delays at touch points", SHARE)
    resolution: float = knob(
        0.5, "share of complaints", "B31, A22", "Complaints that end in a recovery", SHARE
    )


@documented
@dataclass(frozen=True)
class Quality:
    """What customers experience, and how much it moves them."""

    mean: float = knob(0.15, "units of experience", "C8", "Mean quality")
    sd: float = knob(
        0.5,
        "units of experience",
        "C8",
        "Spread of quality from period to period; losses weigh "
        "more than gains, so spread alone disappoints",
        NOT_NEGATIVE,
    )
    back_office: float = knob(
        -0.1, "units of experience", "C14, C15", "Quality of a back-office contact"
    )
    choice: float = knob(
        0.2, "share of pain", "D53", "Pain that is not felt because it was chosen", SHARE
    )
    ritual_breach: float = knob(0.01, _PER_PERIOD, "D54", "A ritual that is not kept", SHARE)
    carry: float = knob(
        0.6, "share", "C19, D49", "Satisfaction of the last period that lasts into this one", SHARE
    )
    weight: float = knob(
        0.3,
        "log-odds per unit of satisfaction",
        "D16, A15",
        "How satisfaction draws closer, and dissatisfaction pushes off",
    )


@documented
@dataclass(frozen=True)
class Treatments:
    """What the bank does for whom, and what it does to them; at most one a period."""

    follow_up: float = knob(0.05, _OF_PERIODS, "B22, B33", "Following up on a customer", SHARE)
    inform: float = knob(0.05, _OF_PERIODS, "B23", "Telling what is done for the customer", SHARE)
    note: float = knob(0.02, _OF_PERIODS, "B24", "A personal note", SHARE)
    gift: float = knob(0.02, _OF_PERIODS, "B26", "A gift on an occasion", SHARE)
    information: float = knob(0.04, _OF_PERIODS, "B27", "Passing on information", SHARE)
    automation: float = knob(0.05, _OF_PERIODS, "A16, B12", "An automated offer", SHARE)
    follow_up_effect: float = knob(
        0.4, _ODDS, "B22, B33", "Follow-up: all moves closer, if it comes at once"
    )
    follow_up_delay: float = knob(
        0.0,
        "days",
        "B22",
        "Wait before a follow-up; every 30 days take half of its effect",
        NOT_NEGATIVE,
    )
    inform_effect: float = knob(0.2, _ODDS, "B23", "Informing: against all moves apart")
    note_effect: float = knob(0.4, _ODDS, "B24", "Note: deepening")
    gift_effect: float = knob(0.5, _ODDS, "B26", "Gift: against crossing")
    information_effect: float = knob(0.2, _ODDS, "B27", "Information: deepening")
    automation_effect: float = knob(0.3, _ODDS, "A16", "Automated offer: repair")
    confounding: float = knob(
        0.0,
        "log-odds per unit of dissatisfaction",
        "D39",
        "How much more likely the dissatisfied are to be treated",
    )
    win_back: float = knob(
        0.02,
        "share of customer-periods",
        "A16, D79",
        "Contacting those who had an account and left in the last two years",
        SHARE,
    )
    win_back_effect: float = knob(
        0.1, "probability", "A16, D79", "Lost customers who begin anew when contacted", SHARE
    )


@documented
@dataclass(frozen=True)
class Outreach:
    """Contacts that the bank begins."""

    contacts: float = knob(
        0.6, "contacts per customer and period", "B32", "Outgoing contacts", NOT_NEGATIVE
    )
    fatigue: float = knob(
        0.1,
        "log-odds per squared contact",
        "D74",
        "Moves apart, by the square of the contacts beyond the first of a period",
    )
    richness: float = knob(0.15, _ODDS, "B25, B32", "Deepening, if a contact was made in person")
    personal_share: float = knob(
        0.3, "share of contacts", "B25", "Outgoing contacts made in person", SHARE
    )
    contradiction: float = knob(
        0.05, "share of contacts", "C12", "Contacts that contradict another channel", SHARE
    )


@documented
@dataclass(frozen=True)
class Talk:
    """What customers tell each other, inside their community."""

    ripple: float = knob(
        0.3, "log-odds per acquaintance", "A18", "Moves apart, after acquaintances have left"
    )
    praise: float = knob(
        0.3,
        "log-odds per share",
        "C10, A14",
        "Deepening, by the share of acquaintances in the highest stage",
    )
    posts: float = knob(
        0.15, "posts per member and period", "C6, B13", "Posts in the forum", NOT_NEGATIVE
    )
    reach: float = knob(
        11.7, "people", "A19", "Mean number of people whom a bad experience reaches", NOT_NEGATIVE
    )
    reward: float = knob(0.2, _ODDS, "A14", "Loyalty programme: against leaving the highest stage")


@documented
@dataclass(frozen=True)
class Surveys:
    """Who is asked, who answers, and what the answers mean."""

    invited: float = knob(0.4, _OF_PERIODS, "B2, B29", "Customers who are invited", SHARE)
    silence: float = knob(
        0.5, "log-odds per unit of satisfaction", "C18", "Silence of the dissatisfied"
    )
    perception_gap: float = knob(
        0.3,
        "units of satisfaction",
        "C18, D49",
        "How much worse the service is perceived than the internal indicators say",
    )
    report_error: float = knob(
        0.2, "probability", "A7", "A self-reported stage that is a neighbouring one", SHARE
    )
    field_burden: float = knob(
        6,
        "fields",
        "D23",
        "Mandatory fields of a contact note; each is filled with junk three times in a hundred",
        NOT_NEGATIVE,
    )


@documented
@dataclass(frozen=True)
class Shocks:
    """What comes from outside, or from the bank itself."""

    life_events: float = knob(
        0.01, _PER_PERIOD, "B19", "Sudden changes of demand: crossing and leaving", SHARE
    )
    scandal: float = knob(0.0, _ODDS, "D21, C6", "Moves apart, in the period of a scandal")
    scandal_period: float = setting(20, "period", "D21", "When the scandal is", PERIOD)
    dismissal: float = knob(
        0.02,
        _PER_PERIOD,
        "B21",
        "The bank ends a relationship gone stale, without a sale",
        SHARE,
    )
    fraud: float = knob(0.0005, _PER_PERIOD, "B21", "The bank ends a relationship for fraud", SHARE)
    closing: float = knob(
        0.5,
        "share of leavers",
        "B20",
        "Leavers who close their account; the others fall silent",
        SHARE,
    )


@documented
@dataclass(frozen=True)
class Memory:
    """What breaks a first-order chain: Knapp's fourth and fifth rule of movement."""

    scars: float = knob(
        0.15,
        "log-odds per past crossing",
        "A7, A8",
        "Against deepening and repair, after "
        "crossings from together to apart (three at most count)",
    )
    dwelling: float = knob(
        0.1, "log-odds per doubling", "A7", "Against moving, each time the time in a stage doubles"
    )


@documented
@dataclass(frozen=True)
class Variety:
    """How customers differ for reasons that no column shows."""

    moves: float = knob(
        0.3,
        "log-odds, SD",
        "B5, D57",
        "Spread of how readily they move closer and apart",
        NOT_NEGATIVE,
    )
    rates: float = knob(
        0.3, "log rate, SD", "D33, D57", "Spread of contacts and transactions", NOT_NEGATIVE
    )


@dataclass(frozen=True)
class Levers:
    """All knobs of a bank, by subject; each group documents its own."""

    awareness: Awareness = field(default_factory=Awareness)
    traits: Traits = field(default_factory=Traits)
    pillars: Pillars = field(default_factory=Pillars)
    service: Service = field(default_factory=Service)
    market: Market = field(default_factory=Market)
    stagnation: Stagnation = field(default_factory=Stagnation)
    quality: Quality = field(default_factory=Quality)
    treatments: Treatments = field(default_factory=Treatments)
    outreach: Outreach = field(default_factory=Outreach)
    talk: Talk = field(default_factory=Talk)
    surveys: Surveys = field(default_factory=Surveys)
    shocks: Shocks = field(default_factory=Shocks)
    memory: Memory = field(default_factory=Memory)
    variety: Variety = field(default_factory=Variety)


def quiet_levers() -> Levers:
    """Levers with every knob at 0: customers move by the bare matrix, and all are alike.

    Examples
    --------
    >>> quiet_levers().quality.sd, quiet_levers().service.service_level
    (0.0, 3)
    """
    return silence(Levers())
