"""Colours as people see them: CIE Lab, CIEDE2000, contrast, and simulated colour-vision deficiency.

Imports nothing from crmlab. Sources:

* sRGB to XYZ: IEC 61966-2-1, white D65; Lab: CIE 15.
* CIEDE2000: Sharma, Wu and Dalal (2005), Color Research and Application 30(1), 21-30, whose test
  pairs are `SHARMA_PAIRS`.
* Contrast: WCAG 2.2.
* Deficiencies, on linear RGB: Machado, Oliveira and Fernandes (2009), IEEE TVCG 15(6), 1291-1298,
  severity 1.0; Vienot, Brettel and Mollon (1999), Color Research and Application 24(4), 243-252,
  for the two red-green ones; Brettel, Vienot and Mollon (1997), JOSA A 14(10), 2647-2655, for
  tritanopia (two half-planes), coefficients for sRGB as in libDaltonLens (public domain).
"""

import numpy as np

_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_MACHADO = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
_TO_LMS = np.array(
    [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
)
_VIENOT = {
    "protanopia": [[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]],
    "deuteranopia": [[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]],
}
_BRETTEL_TRITAN = (
    [[1.01277, 0.13548, -0.14826], [-0.01243, 0.86812, 0.14431], [0.07589, 0.80500, 0.11911]],
    [[0.93678, 0.18979, -0.12657], [0.06154, 0.81526, 0.12320], [-0.37562, 1.12767, 0.24796]],
)
_BRETTEL_NORMAL = (0.03901, -0.02788, -0.01113)

VISIONS = (
    "normal",
    "protanopia (Machado)",
    "deuteranopia (Machado)",
    "tritanopia (Machado)",
    "protanopia (Vienot)",
    "deuteranopia (Vienot)",
    "tritanopia (Brettel)",
)

# Lab 1, Lab 2, CIEDE2000 to four digits: pairs 1, 2, 7, 9, 13, 17 to 20, 25, 31 and 34 of Table 1.
SHARMA_PAIRS = (
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
)


def linear(hexes):
    """Linear RGB, (n, 3), of colours written as '#RRGGBB'."""
    rgb = np.array([[int(code[k : k + 2], 16) / 255 for k in (1, 3, 5)] for code in hexes])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(hexes, vision):
    """Lab, (n, 3), of colours as somebody with this vision sees them."""
    rgb, (kind, _, model) = linear(hexes), vision.partition(" ")
    if model == "(Machado)":
        rgb = rgb @ np.array(_MACHADO[kind]).T
    elif model == "(Vienot)":
        rgb = rgb @ (np.linalg.inv(_TO_LMS) @ np.array(_VIENOT[kind]) @ _TO_LMS).T
    elif model == "(Brettel)":
        one, other = (rgb @ np.array(plane).T for plane in _BRETTEL_TRITAN)
        rgb = np.where((rgb @ np.array(_BRETTEL_NORMAL) >= 0)[:, None], one, other)
    return _lab(np.clip(rgb, 0, 1))


def lightness(hexes):
    """CIE lightness L*, 0 to 100: what is left in grey print."""
    return seen(hexes, "normal")[:, 0]


def contrast(one, other):
    """WCAG contrast ratio, 1 to 21."""
    bright = sorted(linear([one, other]) @ np.array([0.2126, 0.7152, 0.0722]))
    return (bright[1] + 0.05) / (bright[0] + 0.05)


def smallest_difference(hexes, vision):
    """Smallest CIEDE2000 between any two of several colours."""
    lab = seen(hexes, vision)
    pairs = [(i, j) for i in range(len(lab)) for j in range(i)]
    return min(delta_e_2000(lab[i], lab[j]) for i, j in pairs)


def delta_e_2000(lab_1, lab_2):
    """CIEDE2000 difference of two Lab colours (weights 1)."""
    (L1, a1, b1), (L2, a2, b2) = lab_1, lab_2
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    a1, a2 = stretch * a1, stretch * a2
    C1, C2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = h2 - h1
    turn = 0.0 if C1 * C2 == 0 else turn - 360 * np.sign(turn) * (abs(turn) > 180)
    dH = 2 * np.sqrt(C1 * C2) * np.sin(np.radians(turn / 2))
    L, C, h = (L1 + L2) / 2, (C1 + C2) / 2, _mean_hue(h1, h2, C1 * C2 == 0)
    T = (
        1
        - 0.17 * np.cos(np.radians(h - 30))
        + 0.24 * np.cos(np.radians(2 * h))
        + 0.32 * np.cos(np.radians(3 * h + 6))
        - 0.20 * np.cos(np.radians(4 * h - 63))
    )
    S_L = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2)
    S_C, S_H = 1 + 0.045 * C, 1 + 0.015 * C * T
    rotation = -2 * np.sqrt(C**7 / (C**7 + 25.0**7))
    rotation *= np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2))))
    x, y, z = (L2 - L1) / S_L, (C2 - C1) / S_C, dH / S_H
    return float(np.sqrt(x**2 + y**2 + z**2 + rotation * y * z))


def _mean_hue(h1, h2, is_grey):
    if is_grey:
        return h1 + h2
    if abs(h1 - h2) <= 180:
        return (h1 + h2) / 2
    return (h1 + h2 + 360) / 2 if h1 + h2 < 360 else (h1 + h2 - 360) / 2


def _lab(rgb):
    xyz = rgb @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )
