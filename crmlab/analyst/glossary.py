"""The words of a report, each explained in a phrase."""

WORDS = {
    "action": "something that the firm did to a customer: a letter, a coupon, a call",
    "asleep": "the lowest stage where customers may come back: hardly any orders for now",
    "BG/NBD": "the standard model of Fader, Hardie and Lee (2005): each customer buys at a rate of "
    "their own and may leave after any repeat purchase",
    "case": "a complaint or another matter that a customer opened",
    "cohort": "customers whose first order was in the same week, month, quarter or year",
    "discount rate": "how much less money is worth a year later; 0.10 is 10% a year",
    "draw": "one complete set of parameters from the posterior; many show what is uncertain",
    "entropy": "how uncertain a stage is, in bits: 0 if one is certain, 2 if four are as likely",
    "fell": "is, most likely, in a lower stage than a season ago",
    "Gamma-Gamma": "a model of amounts: a customer's mean is drawn towards the mean of all, the "
    "more so the fewer orders there are",
    "holdout": "the last part of the window, kept from the models and then compared with them",
    "interval (90%)": "where the quantity lies with probability 0.9, given model and data; 5% "
    "lie below and 5% above",
    "log score": "the logarithm of the probability that was given to what happened; higher is "
    "better",
    "lost": "the lowest stage where nobody comes back",
    "Lorenz curve": "what share of the revenue the best 10%, 20%, ... of the customers bring",
    "needed success": "the share of offers that must succeed to pay back their cost",
    "P(alive)": "probability of still being a customer, by BG/NBD",
    "period": "the time step of the model: a day, a week or a month",
    "pseudonym": "a keyed hash in place of an id; only the key leads back",
    "repair": "a return to the stage of a season ago; its worth is how much more the customer "
    "would then be expected to bring, before costs",
    "repeat order": "a day with an order after the day of a customer's first",
    "RFM": "scores from 1 to 5 for how recent, frequent and large a customer's orders are, each a "
    "fifth of the customers",
    "R-hat": "whether independent chains of draws agree; above 1.02 the fit must not be used",
    "season": "the time in which a customer may drift: a quarter of a year, if the file is long "
    "enough",
    "stage": "a level of ordering; orders alone show three or four, never ten, and further files "
    "make these more certain",
    "touchpoint": "a contact that the customer made: a visit, a call, a mail",
    "value": "what a customer is expected to bring in the year to come, discounted",
}
