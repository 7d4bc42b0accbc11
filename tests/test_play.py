"""Pieces to play with: a first frame without a script; a script that computes as crmlab does."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from scipy import stats

import crmlab as crm
from crmlab.cli.environment import PROJECT
from crmlab.course.play import PIECES, piece_html, script_html
from crmlab.value import stage_value

SCRIPT = PROJECT.root / "crmlab" / "course" / "play" / "play.js"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def run(expression: str):
    """Evaluate an expression with the functions of the script."""
    program = (
        f"const m = require({json.dumps(str(SCRIPT))}); console.log(JSON.stringify({expression}))"
    )
    output = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_a_piece_stands_alone_without_its_script(piece):
    html = piece_html(piece)
    first, hidden = html.index('class="play-first"'), html.index('class="play-board" hidden')
    assert first < html.index("<img") < hidden
    assert "http" not in html.replace("http://www.w3.org", "")
    assert f"{piece.name}(data, board, say)" in script_html()


@needs_node
def test_the_staircase_computes_as_crmlab_does():
    rate = 0.02
    P, margins = json.dumps(crm.K10.tolist()), json.dumps(crm.K10_MARGINS.tolist())
    occupancy = run(f"m.occupancy({P}, {[1] + [0] * 9}, 8)")
    np.testing.assert_allclose(occupancy, np.linalg.matrix_power(crm.K10, 8)[0], atol=1e-12)
    value = run(f"m.stageValue({P}, {margins}, {1 / (1 + rate)})")
    expected = stage_value(crm.K10, crm.K10_MARGINS, discount_rate=rate, first="current")
    np.testing.assert_allclose(value, expected, atol=1e-5)


@needs_node
def test_a_dragged_move_leaves_a_transition_matrix():
    P = np.array(run(f"m.withMove({json.dumps(crm.K10.tolist())}, 5, 6, 0.6)"))
    assert P[5, 6] == 0.6
    np.testing.assert_allclose(P.sum(axis=1), 1)
    others = np.delete(P[5], 6) / np.delete(crm.K10[5], 6).clip(1e-300)
    assert np.ptp(others[np.delete(crm.K10[5], 6) > 0]) < 1e-12
    np.testing.assert_array_equal(np.delete(P, 5, axis=0), np.delete(crm.K10, 5, axis=0))


@needs_node
def test_the_posterior_is_the_beta_law():
    posterior = run("m.betaLaw(40, 20)")
    exact = stats.beta(40, 20)
    assert [posterior["low"], posterior["high"]] == pytest.approx(exact.ppf([0.05, 0.95]), abs=2e-3)
    np.testing.assert_allclose(posterior["density"], exact.pdf(posterior["x"]), atol=2e-3)


@needs_node
def test_the_value_is_that_of_two_stages():
    ours = stage_value([[0.9, 0.1], [0, 1]], [100, 0], discount_rate=0.1, first="current")[0]
    assert run("m.lifetimeValue(100, 0.9, 0.1)") == pytest.approx(ours)
