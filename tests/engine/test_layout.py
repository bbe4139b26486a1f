"""The order of a run's scalars is a file format, and a misspelt one is an error."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from aitimestepper import Config, InputError
from aitimestepper.engine import layout
from aitimestepper.engine.layout import BOOKS, LAYOUT, N_BOOKS, ROWS, books_in
from aitimestepper.engine.run.state import packed, unpack
from aitimestepper.simulation.planning import planned
from aitimestepper.simulation.run import requested

IN_FILES = [
    "time",
    "time_remainder",
    "last_dt",
    "last_rate",
    "omega",
    "potential_energy",
    "kinetic_energy",
    "free_fall_rate_squared",
    "initial_energy",
    "energy_scale",
    "initial_momentum_x",
    "initial_momentum_y",
    "initial_momentum_z",
    "initial_angular_momentum_x",
    "initial_angular_momentum_y",
    "initial_angular_momentum_z",
    "max_energy_error",
    "max_momentum_error_squared",
    "max_angular_momentum_error_squared",
    "momentum_scale",
    "angular_momentum_scale",
    "steps",
    "force_evaluations",
    "rejected_steps",
    "start_time",
    "saved_omega",
    "saved_potential_energy",
    "saved_kinetic_energy",
    "saved_free_fall_rate_squared",
    "momentum_x",
    "momentum_y",
    "momentum_z",
    "angular_momentum_x",
    "angular_momentum_y",
    "angular_momentum_z",
    "absolute_momentum",
    "absolute_angular_momentum",
    "samples",
    "network_step",
    "correction",
    "least_wanted_step",
    "longest_step",
    "changed_at_step",
    "review_energy_error",
    "review_phase",
    "review_position_error",
    "sampled_position_error",
    "sampled_phase",
    "max_position_error",
    "states_asked",
    "states_outside_training",
    "anchor_step",
    "setbacks",
    "reviewed_before_step",
    "wanted_factor",
    "last_setback_error",
    "vain_setbacks",
    "excused_error",
    "tolerance_promised",
    "last_setback_time",
    "step_error_promised",
    "max_step_error",
    "steps_above",
    "sampled_length",
    "energy_at_change",
    "hidden_rate_squared",
    "omega_low",
    "saved_omega_low",
    "deepest",
    "review_deepest",
    "usual_size",
    "longest_length",
    "democratic",
    "run_position_error",
    "max_energy_error_time",
    "frame_dt_min",
    "frame_dt_max",
    "frame_energy_error",
    "began_at_step",
    "first_energy",
    "mergers",
    "merger_energy",
    "macro_step",
    "macro_rows",
    "macro_began_at_step",
    "macro_began_at_time",
]
"""As recordings and archives have had them from the first: new ones may follow, none may move."""


def test_the_scalars_of_a_run_stand_where_files_have_them():
    fields = BOOKS.fields
    assert fields is not None
    assert list(BOOKS.names or ()) == IN_FILES
    assert [fields[name][:2] for name in IN_FILES] == [(np.dtype(np.float64), 8 * k) for k in range(86)]
    assert N_BOOKS == 86
    assert BOOKS.itemsize == 688
    assert ROWS == 48


def test_a_record_is_a_view_of_the_vector_it_lies_in():
    vector = np.arange(90.0)
    books = books_in(vector)
    assert (books.time, books.omega, books.last_setback_time) == (0.0, 4.0, 59.0)
    books.steps = -1.0
    assert vector[21] == -1.0


def test_a_misspelt_scalar_fails_when_it_is_compiled():
    @njit
    def misspelt(books):
        return books.enrgy_scale

    @njit
    def misspelt_when_set(books):
        books.enrgy_scale = 1.0

    books = np.zeros(1, BOOKS)[0]
    for function in (misspelt, misspelt_when_set):
        with pytest.raises(Exception, match="enrgy_scale"):
            function(books)
        assert not function.signatures


def test_the_digest_is_that_of_names_and_order():
    assert len(LAYOUT) == 64
    swapped = (layout._FIELDS[1], layout._FIELDS[0], *layout._FIELDS[2:])
    assert layout.digest_of(layout._FIELDS, layout._ROWS) == LAYOUT
    assert layout.digest_of(swapped, layout._ROWS) != LAYOUT
    assert layout.digest_of(layout._FIELDS, {**layout._ROWS, "x": 2}) != LAYOUT


def test_a_state_of_another_layout_or_length_is_refused_in_one_line():
    plan = planned(requested(Config(ic="figure-eight", tolerance=1e-4, steps=10)))
    run, other = plan.new_run(), plan.new_run()
    run.books[0].steps = 7.0
    for layout_of_file in ("", LAYOUT):
        unpack(packed(run), layout_of_file, other)
        np.testing.assert_array_equal(packed(other), packed(run))
    for vector, layout_of_file in ((packed(run), "0" * 64), (packed(run)[:-1], ""), (packed(run)[:-1], LAYOUT)):
        with pytest.raises(InputError, match=r"^its state has the layout of another version") as error:
            unpack(vector, layout_of_file, other)
        assert "\n" not in str(error.value)
