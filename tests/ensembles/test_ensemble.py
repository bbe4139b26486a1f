"""Ensembles: every member as if it were alone, whatever is beside it and whoever integrates it."""

from __future__ import annotations

import dataclasses
import os
import pickle
import runpy
import signal

import h5py
import numpy as np
import pytest
from distributed import LocalCluster
from tests.builders import head_on, untrained

from aitimestepper import (
    Config,
    EnsembleResult,
    InitialConditionsError,
    InputError,
    OutputExistsError,
    SimulationError,
    simulate,
    simulate_ensemble,
)
from aitimestepper.ensembles.result import COUNTS, NO_SEED, NUMBERS, MemberResult
from aitimestepper.simulation.request import settings_of
from aitimestepper.systems.catalogue import initial_conditions, seeded
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.initial import InitialConditions

FREE_FALL = {"timestep": "free-fall", "eta": 0.02, "duration": 2.0}

PLUGIN = """
import math
from aitimestepper import register_criterion

FACTOR = 0.5

def slowest(mass, position, velocity, acceleration, softening, G):
    largest = 1e-300
    for body in range(len(mass)):
        for k in range(3):
            largest = max(largest, abs(acceleration[body, k]))
    return FACTOR / math.sqrt(largest)

register_criterion("by-largest-pull", slowest)
"""


def drawn(count: int = 6, **keys) -> Config:
    return Config(**{"ic": "random:n=3", "count": count, **FREE_FALL, **keys})


def mixed() -> list[InitialConditions]:
    """Systems of 2 to 9 bodies in the plane and in space."""
    specs = ("kepler:e=0.9", "random:n=3", "plummer:n=9", "figure-eight", "random:n=4,dim=3", "hierarchical-triple")
    return [initial_conditions(spec, seed=4) for spec in specs]


def touching() -> InitialConditions:
    return InitialConditions(np.ones(2), np.zeros((2, 2)), np.zeros((2, 2)))


def member(result: EnsembleResult, index: int) -> list[object]:
    """All that is known of a member, but its index, so that equal members are equal lists."""
    columns = ("seed", *COUNTS, *NUMBERS)
    arrays = (result.mass[index], result.position[index], result.velocity[index])
    numbers = [float(getattr(result, name)[index]).hex() for name in columns]
    return [result.outcome[index], *numbers, *(array.tolist() for array in arrays)]


def members(result: EnsembleResult) -> list[list[object]]:
    return [member(result, index) for index in range(len(result))]


def assert_is_the_run(result: EnsembleResult, index: int, recording) -> None:
    summary = recording.summary
    assert result.outcome[index] == summary.outcome
    for name in (*COUNTS, *NUMBERS):
        assert getattr(result, name)[index] == getattr(summary, name), name
    assert (result.position[index] == recording.position[-1]).all()
    assert (result.velocity[index] == recording.velocity[-1]).all()


# --- the same bits


@pytest.mark.parametrize("threads", [2, 5])
def test_members_do_not_depend_on_the_number_of_threads(threads):
    assert members(simulate_ensemble(config=drawn(threads=1))) == members(
        simulate_ensemble(config=drawn(threads=threads))
    )


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"duration": None, "steps": 50, "guard": 1e-6},
        {"integrator": "ttl", "timestep": "fixed", "eta": None, "h": 0.05, "order": 4},
        {"timestep": "aarseth", "external_field_mass": 1.0, "external_field_position": (20.0, 0.0)},
    ],
)
def test_a_member_is_what_simulate_makes_of_its_seed(keys):
    config = drawn(3, seed=11, **keys)
    result = simulate_ensemble(config=config)
    assert result.seed.tolist() == [11, 12, 13]
    for index, seed in enumerate(result.seed):
        assert_is_the_run(result, index, simulate(config=config.replace(seed=int(seed))))


def test_a_learned_member_is_what_simulate_makes_of_it(tmp_path):
    model = untrained(tmp_path / "model.safetensors", feature_type="rich", history_len=2, normalize_inputs=True)
    config = Config(timestep="learned", model=model, steps=40)
    result = simulate_ensemble(config=config, systems=mixed()[:2])
    for index, system in enumerate(mixed()[:2]):
        assert_is_the_run(result, index, simulate(config=config, system=system))


def test_members_do_not_depend_on_their_order_nor_on_what_is_beside_them():
    systems = mixed()
    config = Config(**FREE_FALL, threads=2)
    straight = members(simulate_ensemble(config=config, systems=systems))
    order = [3, 5, 0, 2, 4, 1]
    shuffled = members(simulate_ensemble(config=config, systems=[systems[index] for index in order]))
    assert shuffled == [straight[index] for index in order]
    assert members(simulate_ensemble(config=config, systems=systems[2:3])) == straight[2:3]


def test_systems_of_any_size_and_dimension_can_be_mixed():
    config = Config(**FREE_FALL)
    result = simulate_ensemble(config=config, systems=mixed())
    assert [array.shape for array in result.position] == [(2, 2), (3, 2), (9, 3), (3, 2), (4, 3), (3, 3)]
    assert set(result.seed) == {NO_SEED}
    for index, system in enumerate(mixed()):
        assert_is_the_run(result, index, simulate(config=config, system=system))


def test_a_run_of_many_calls_is_that_of_one():
    config = drawn(1, duration=None, steps=200_000, threads=1)
    assert_is_the_run(simulate_ensemble(config=config), 0, simulate(config=config))


# --- seeds


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        ("random:n=3", ("random:n=3", 7)),
        ("random", ("random", 7)),
        ("plummer:seed=3", ("plummer", 3)),
        ("random:n=4, seed=5,dim=3", ("random:n=4,dim=3", 5)),
        ("kepler:e=0.3", ("kepler:e=0.3", None)),
        ("bodies.csv", ("bodies.csv", None)),
    ],
)
def test_the_seed_of_a_specification_is_told_from_the_rest(spec, answer):
    assert seeded(spec, 7) == answer


def test_a_seed_in_the_specification_is_that_of_the_first_member():
    assert members(simulate_ensemble(config=drawn(2, ic="random:n=3,seed=5"))) == members(
        simulate_ensemble(config=drawn(2, seed=5))
    )


# --- bad members


def test_a_bad_member_is_reported_and_the_others_finish():
    systems = [mixed()[0], touching(), head_on(), mixed()[1]]
    config = Config(timestep="free-fall", eta=0.02, duration=2.0)
    result = simulate_ensemble(config=config, systems=systems)
    assert result.finished.tolist() == [True, False, False, True]
    refused, stopped = result.failures
    assert (refused.index, refused.seed) == (1, NO_SEED)
    assert refused.outcome.startswith("bodies 0 and 1 (counting from 0) are at one point")
    with pytest.raises(SimulationError) as caught:
        simulate(config=config, system=head_on())
    assert stopped.outcome == str(caught.value)
    assert_is_the_run(result, 2, caught.value.recording)
    assert (result.steps[1], np.isnan(result.energy_error_max[1])) == (0, True)
    assert_is_the_run(result, 3, simulate(config=config, system=systems[3]))


def test_where_all_members_are_refused_the_request_is():
    with pytest.raises(InputError, match="are at one point"):
        simulate_ensemble(config=Config(**FREE_FALL), systems=[touching(), touching()])


@pytest.mark.parametrize(
    ("keys", "systems", "sentence"),
    [
        ({"ic": "kepler"}, None, "draws nothing, so all 6 members would be the same: choose random or plummer"),
        ({"ic": None}, None, "needs initial conditions: set ic"),
        ({"ic": "random:n=x"}, None, "n = x is not allowed"),
        ({"ic": "random:"}, None, "options are written KEY=VALUE"),
        ({"eta": None}, None, "needs eta or tolerance"),
        ({"duration": None, "periods": 3.0}, None, "needs a system with an orbital period"),
        ({"every": 3}, None, "every does nothing in an ensemble"),
        ({"scheduler": "tcp://localhost:1", "threads": 2}, None, "threads does nothing beside scheduler"),
        ({"seed": 2**63 - 3}, None, "do not reach for 6 members"),
        ({"model": "no.safetensors", "timestep": "learned", "eta": None}, None, "no model file at"),
        ({}, [head_on()], "ic = 'random:n=3' would do nothing"),
        ({"ic": None}, [head_on()], "count = 6 does not fit the 1 systems"),
        ({"ic": None, "count": 6}, [], "count = 6 does not fit the 0 systems"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused(keys, systems, sentence):
    with pytest.raises(InputError, match=sentence):
        simulate_ensemble(config=drawn(**keys), systems=systems)


def test_one_member_need_not_be_drawn():
    assert simulate_ensemble(config=drawn(1, ic="figure-eight")).seed.tolist() == [NO_SEED]


# --- progress, Ctrl-C, files


def test_progress_grows_from_0_to_1():
    seen: list[float] = []
    simulate_ensemble(config=drawn(3, duration=None, steps=300_000), progress=seen.append)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert any(0 < fraction < 1 for fraction in seen)


def test_ctrl_c_keeps_what_was_done(tmp_path):
    def interrupt(fraction: float) -> None:
        if fraction > 0.25:
            raise KeyboardInterrupt

    config = Config(timestep="fixed", dt=1e-3, duration=1e6, output=str(tmp_path / "e.h5"), threads=2)
    short = dataclasses.replace(head_on(), time=1e6 - 0.1)
    with pytest.raises(KeyboardInterrupt):
        simulate_ensemble(config=config.replace(duration=0.1), systems=[short, short], progress=interrupt)
    assert EnsembleResult.load(tmp_path / "e.h5").finished.all()
    with pytest.raises(KeyboardInterrupt):
        simulate_ensemble(
            config=config.replace(overwrite=True, softening=1.0),
            systems=[head_on()] * 3,
            progress=lambda x: interrupt(0.3 if x > 0 else 0.0),
        )
    outcomes = EnsembleResult.load(tmp_path / "e.h5").outcome
    assert [outcome.split(" after ")[0].split(" = ")[0] for outcome in outcomes[:2]] == ["interrupted at t"] * 2
    assert outcomes[2] == "interrupted before its first step"


def test_a_file_gives_back_what_was_written(tmp_path):
    config = Config(**FREE_FALL, softening=0.01, output=str(tmp_path / "e.h5"))
    result = simulate_ensemble(config=config, systems=[*mixed(), InitialConditions([1.0], [[0.0]], [[0.0]])])
    back = EnsembleResult.load(tmp_path / "e.h5")
    assert members(back) == members(result)
    assert [array.shape for array in back.position] == [array.shape for array in result.position]
    for name in ("G", "softening", "wall_seconds"):
        assert getattr(back, name) == getattr(result, name)
    assert Config(**back.settings) == settings_of(config).config


def test_an_output_that_exists_is_replaced_only_if_asked(tmp_path):
    path = tmp_path / "e.h5"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match="exists already"):
        simulate_ensemble(config=drawn(output=str(path)))
    assert path.read_text() == "precious"
    simulate_ensemble(config=drawn(2, output=str(path), overwrite=True))
    assert len(EnsembleResult.load(path)) == 2


@pytest.mark.parametrize("damage", ["missing", "text", "foreign", "version", "rows"])
def test_a_bad_file_is_refused(tmp_path, damage):
    path = tmp_path / "e.h5"
    simulate_ensemble(config=drawn(2, output=str(path)))
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_text("no HDF5")
    else:
        with h5py.File(path, "r+") as file:
            if damage == "rows":
                del file["seed"]
                file["seed"] = [1]
            else:
                file.attrs["format" if damage == "foreign" else "version"] = 99
    with pytest.raises(InputError, match="cannot read the ensemble"):
        EnsembleResult.load(path)


def test_members_of_a_result_stand_in_order():
    nothing = np.empty(0), np.empty((0, 2)), np.empty((0, 2))
    result = EnsembleResult.of([MemberResult(i, i, f"{i}", None, *nothing) for i in (2, 0, 1)])
    assert result.outcome == ("0", "1", "2")


# --- on a cluster


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as it:
        yield it


def test_a_cluster_gives_the_same_bits(cluster):
    address = cluster.scheduler_address
    seen: list[float] = []
    assert members(simulate_ensemble(config=drawn(20, scheduler=address), progress=seen.append)) == members(
        simulate_ensemble(config=drawn(20))
    )
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    systems = [*mixed(), touching(), head_on()]
    config = Config(**FREE_FALL)
    assert members(simulate_ensemble(config=config.replace(scheduler=address), systems=systems)) == members(
        simulate_ensemble(config=config, systems=systems)
    )


def test_weights_and_own_criteria_are_sent_to_the_workers(cluster, tmp_path):
    address = cluster.scheduler_address
    model = untrained(tmp_path / "model.safetensors", history_len=1)
    learned = Config(timestep="learned", model=model, steps=20, ic="random", count=3)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    runpy.run_path(str(tmp_path / "plugin.py"))
    own = Config(timestep="by-largest-pull", eta=0.1, steps=20, ic="random", count=3)
    alone = [members(simulate_ensemble(config=config)) for config in (learned, own)]
    (tmp_path / "plugin.py").unlink()
    together = [members(simulate_ensemble(config=config.replace(scheduler=address))) for config in (learned, own)]
    assert together == alone


def test_what_a_killed_worker_was_doing_is_done_again(cluster):
    killed: list[int] = []

    def kill(fraction: float) -> None:
        if fraction > 0 and not killed:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    config = drawn(200, duration=5.0)
    result = simulate_ensemble(config=config.replace(scheduler=cluster.scheduler_address), progress=kill)
    assert killed
    assert members(result) == members(simulate_ensemble(config=config))


def test_a_worker_of_another_version_is_refused(monkeypatch):
    from aitimestepper.ensembles import cluster as ensemble_cluster

    job = pickle.dumps(("0.0", {}, None, None, None))
    with pytest.raises(InputError, match=r"has version .* of this package, and 0\.0 is needed"):
        ensemble_cluster.integrate_chunk(job, [])


@pytest.mark.parametrize("address", ["nonsense", "http://localhost:1"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match=f"cannot reach a Dask scheduler at {address}"):
        simulate_ensemble(config=drawn(scheduler=address))


def test_a_scheduler_that_does_not_answer_is_refused(monkeypatch):
    monkeypatch.setattr("aitimestepper.ensembles.cluster.SECONDS_TO_CONNECT", 0.2)
    with pytest.raises(InputError, match=r"cannot reach a Dask scheduler at tcp://127\.0\.0\.1:1"):
        simulate_ensemble(config=drawn(scheduler="tcp://127.0.0.1:1"))


def test_a_scheduler_without_workers_is_refused(monkeypatch):
    monkeypatch.setattr("aitimestepper.ensembles.cluster.SECONDS_TO_CONNECT", 0.5)
    with (
        LocalCluster(n_workers=0, protocol="tcp", dashboard_address=None) as empty,
        pytest.raises(InputError, match=r"has had no workers for 0\.5 s"),
    ):
        simulate_ensemble(config=drawn(scheduler=empty.scheduler_address))


def test_without_the_package_distributed_a_scheduler_is_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'aitimestepper\[cluster\]'"):
        simulate_ensemble(config=drawn(scheduler="tcp://127.0.0.1:1"))


def test_what_is_asked_of_positions_is_a_round_number():
    result = simulate_ensemble("kepler:e=0.1", count=1, duration=1.0, tolerance=1e-6)
    assert list(result.position_error_asked) == [1e-5]


@pytest.mark.parametrize(
    ("spec", "way"),
    [
        ("random:n=3", "as random:n=3,seed=K"),
        ("plummer", "as plummer:seed=K"),
        ([initial_conditions("kepler")] * 2, r"EnsembleResult\.load"),
    ],
)
def test_an_ensemble_is_no_system_to_start_from_and_says_how_to_get_one(spec, way, tmp_path):
    path = tmp_path / "many.h5"
    count = {"count": 2} if isinstance(spec, str) else {}
    simulate_ensemble(spec, **count, duration=0.01, tolerance=1e-3, output=str(path))
    with pytest.raises(InitialConditionsError, match=f"it is an ensemble of 2 members, .*{way}"):
        read_initial_conditions(path)
