"""The course's own tools: answers that check themselves, editions, and the rules of a notebook.

For learners:

* `check`: compare an answer with the key, and print one sentence
* `progress`: what has been solved so far
* `own_firm`: the tables of one's own firm
* `course_table`: the notebooks of the course
* `plot_course_map`: what comes before what, as a map

For authors:

* `set_answer`: state the answer of an exercise, with the usual mistakes
* `judge`: compare an answer with the key, and return the verdict
* `Verdict`: right or not, and a sentence

How to write an exercise
------------------------
An exercise lives in ``notebooks/NN_topic.ipynb``: one Markdown cell that asks, one code cell that
answers. The code cell holds the solution, and the key that `check` will use::

    # Exercise 06.1
    ### BEGIN SOLUTION
    posterior = crm.chains.dirichlet_posterior(np.array([45, 35, 0, 20]), 1.0)
    answer = posterior / posterior.sum()
    ### END SOLUTION
    ### BEGIN HIDDEN TESTS
    crm.set_answer("06.1", answer, digits=4,
        because="A move that was never seen keeps a small probability.",
        mistakes=[(np.array([45, 35, 0, 20]) / 100, "These are the shares of the counts alone.")])
    ### END HIDDEN TESTS
    crm.check("06.1", answer)

Both markers are nbgrader's. In the student edition the solution becomes a line that raises
`NotImplementedError`, the hidden tests vanish, and what stands outside the markers stays.

`set_answer` takes the *computed* answer, and every known misconception as ``(value, hint)``; the
value may be an expression, and may have another shape than the answer. The id is the number of the
notebook, a dot, and a count. Answers are a number, an array or tuple of numbers, a text, a boolean,
a tuple of texts, or a set (whose order does not count). `digits` are the decimals asked for (say so
in the question); the neighbours within `tolerance` count as right (by default one unit in the
last digit, and none for whole numbers; give a wide one where the answer depends on draws). A few
slips are recognised without being listed: percent for fraction and back, the wrong sign, one minus
the answer, the right numbers in another order, rounding too early, a wrong type or shape.

``make notebooks N=06`` (or ``python -m crmlab.course.notebooks PATH``) executes the
notebook in place in a fresh kernel and writes its key, ``crmlab/course/keys/06.json``. Never edit
a key by hand. In every other run (a learner's, nbval's) `set_answer` writes nothing: it compares,
and raises if the key is stale. The key holds salted hashes and the hints, not the answers. It keeps
honest people honest; it is not a secret.

Rules that tests enforce (``python -m crmlab.course.guards NOTEBOOK`` lists what is wrong):

* Nothing after an exercise may need what the learner writes in it: a later cell defines its own.
* Tags: ``instructor`` (the cell is not in the student edition), ``hint`` (a Markdown cell, folded
  away), ``expected-figure`` (an exercise whose figure and sentence the learner may unfold),
  and ``nbval-ignore-output`` or ``nbval-skip`` with a ``reason`` in the metadata of the cell.
* ``slideshow: {"slide_type": ...}`` in the metadata of a cell is ``skip``, ``notes`` or ``slide``;
  without it `crmlab.course.slides` decides what of a cell is shown.
* The first cell holds the one H1, then the lines **Objectives** (3 to 5, a list), **Minutes**,
  **Prerequisites**, **Runs in a browser**.
* At most 40 cells, 25 lines a code cell (hidden tests not counted), no trailing semicolon.
"""

from crmlab.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
