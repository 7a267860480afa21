"""What a cell leads to: every question makes sense for its run and adds something to it."""

import pytest
from made_events import experiment, run_started

from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment, Request
from stitchtui.spec.plan import resolve
from stitchtui.tui.questions import questions

STITCHES = [{}, {"objective": "direct"}, {"family": "orthogonal"}, {"family": "bn_affine_bn", "start": "random"},
    {"family": "identity"}, {"family": "mlp"}, {"start": "random", "best_of": 3}, {"cuts": "all"}, {"l1": 0.1},
    {"family": "ladder"}]  # fmt: skip


@pytest.mark.parametrize("stitch", STITCHES, ids=str)
def test_every_question_is_a_request_that_its_run_can_take_and_that_adds_columns(stitch):
    run = experiment(**stitch)
    before = {task.id for task in resolve(run).tasks}
    state = RunState()
    state.apply(run_started(run))
    for column in state.columns():
        asked = questions(state, column, "conv1")
        assert len(asked) >= 5
        for question in asked:
            request = Request.model_validate(question.request)
            wanted = Experiment.model_validate({**run.plain(), "also": [request.plain()]})
            assert {task.id for task in resolve(wanted).tasks} > before, question.words


def test_a_run_that_this_version_does_not_understand_leads_to_no_question():
    state = RunState()
    state.apply(run_started())
    column = state.columns()[0]
    state.experiment = {"stitch": {"epochs": "many"}}
    assert questions(state, column, "conv1") == []
