"""Exports of shop systems, recognised by their headers.

A preset says which column has which role, as the vendor documents its export. What the user says
overrides it, role by role; what neither names is guessed as for any other file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crmlab.reading.options import ReadingOptions
from crmlab.reading.quality import Decision
from crmlab.reading.words import plain


@dataclass(frozen=True)
class Preset:
    """The export of a shop system.

    Parameters
    ----------
    name : str
        Of the system.
    signs : tuple of str
        Headers that give the export away, as `plain` writes them; all are needed.
    columns : mapping of role to tuple of str
        The headers of each role; the first that the file has is taken.
    amount_of : {"order", "line", "first-line"}, optional
        As in `ReadingOptions`.
    no_sale : str, optional
        Statuses that are no sales in this system, besides those of the table.
    """

    name: str
    signs: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    amount_of: str | None = None
    no_sale: str | None = None


_SHOPIFY = Preset(
    "Shopify",
    ("name", "lineitem quantity"),
    {
        "customer": ("email",),
        "date": ("created at",),
        "amount": ("total", "subtotal"),
        "currency": ("currency",),
        "status": ("financial status",),
        "order": ("name",),
        "refund": ("refunded amount",),
    },
    amount_of="first-line",
)
_STRIPE = Preset(
    "Stripe",
    ("created utc", "amount refunded"),
    {
        "customer": ("customer id", "customer email"),
        "date": ("created date utc", "created utc"),
        "amount": ("amount",),
        "currency": ("currency",),
        "status": ("status",),
        "order": ("id",),
        "refund": ("amount refunded",),
    },
    amount_of="line",
)
PRESETS = (
    _SHOPIFY,
    replace(_SHOPIFY, signs=("name", "lineitem price")),
    Preset(  # of its extension Customer/Order/Coupon Export; the shop alone exports no orders
        "WooCommerce",
        ("order id", "order total", "billing email"),
        {
            "customer": ("billing email",),  # the customer id of every guest is 0
            "date": ("order date", "date"),
            "amount": ("order total",),
            "currency": ("order currency",),
            "status": ("status", "order status"),
            "order": ("order id",),
            "refund": ("refunded total",),
        },
        amount_of="order",
    ),
    Preset(
        "Magento",
        ("purchase date", "grand total base"),
        {
            "customer": ("customer email", "customer name", "bill to name"),
            "date": ("purchase date",),
            "amount": ("grand total base",),
            "status": ("status",),
            "order": ("id",),
            "refund": ("total refunded",),
        },
        amount_of="order",
        no_sale="closed",  # an order that was refunded in full
    ),
    _STRIPE,
    replace(_STRIPE, signs=("created date utc", "amount refunded")),
    Preset(
        "Amazon",
        ("amazon order id", "purchase date", "item price"),
        {
            "customer": ("buyer email", "buyer name"),
            "date": ("purchase date",),
            "amount": ("item price",),  # of all pieces of a line
            "currency": ("currency",),
            "status": ("order status",),
            "order": ("amazon order id",),
        },
        amount_of="line",
    ),
    Preset(
        "Olist",
        ("customer unique id", "order purchase timestamp"),
        {
            "customer": ("customer unique id",),  # the customer id is a new one for each order
            "date": ("order purchase timestamp",),
            "amount": ("payment value", "price"),
            "status": ("order status",),
            "order": ("order id",),
        },
        amount_of="line",  # an order may be paid in several ways
        no_sale="unavailable",
    ),
)


def use_preset(
    headers: Sequence[object], options: ReadingOptions
) -> tuple[ReadingOptions, dict[str, str], list[Decision]]:
    """Recognise an export, and fill in what the user leaves open.

    Returns
    -------
    options : ReadingOptions
    taken : dict of role to str
        Why each role that the preset fills has its column.
    decisions : list of Decision
        One, if the export is known.
    """
    names = [str(header) for header in headers]
    preset = find_preset(names)
    if preset is None:
        return options, {}, []
    options, taken = apply_preset(preset, names, options)
    why = dict.fromkeys(taken, f"as {preset.name} exports it")
    return options, why, [describe_preset(preset, taken)]


def find_preset(headers: Sequence[str]) -> Preset | None:
    """Return the preset whose signs are all among some headers; None if there is none.

    Examples
    --------
    >>> find_preset(["amazon-order-id", "purchase-date", "item-price", "sku"]).name
    'Amazon'
    """
    known = {plain(str(header)) for header in headers}
    return next((preset for preset in PRESETS if known.issuperset(preset.signs)), None)


def apply_preset(
    preset: Preset, headers: Sequence[str], options: ReadingOptions
) -> tuple[ReadingOptions, dict[str, str]]:
    """Fill in what the user leaves open, and name the headers that are taken by their roles.

    Parameters
    ----------
    preset : Preset
    headers : sequence of str
    options : ReadingOptions
        What is said here stays.

    Returns
    -------
    options : ReadingOptions
    taken : dict of role to header
    """
    places: dict[str, int] = {}
    for place, header in enumerate(headers):
        places.setdefault(plain(str(header)), place)
    said = {role for role, choice in options.columns().items() if choice is not None}
    if said & {"quantity", "price"}:
        said.add("amount")  # the user multiplies
    found = {
        role: next(places[known] for known in names if known in places)
        for role, names in preset.columns.items()
        if role not in said and any(known in places for known in names)
    }
    more: dict[str, Any] = {role: f"#{place + 1}" for role, place in found.items()}
    if "amount" in found:
        more["amount_of"] = options.amount_of or preset.amount_of
    if "status" in found and preset.no_sale:
        more["no_sale"] = ", ".join(filter(None, (options.no_sale, preset.no_sale)))
    return replace(options, **more), {role: str(headers[place]) for role, place in found.items()}


def describe_preset(preset: Preset, taken: Mapping[str, str]) -> Decision:
    """Say which system a file is taken for, and by which headers."""
    columns = ", ".join(f"{role} = {header!r}" for role, header in taken.items())
    signs = ", ".join(map(repr, preset.signs))
    return Decision("preset", preset.name, f"it has the headers {signs}; so {columns}")
