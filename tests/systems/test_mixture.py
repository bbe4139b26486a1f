"""Systems of every kind: each draw is one that can be integrated."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from aitimestepper.systems import mixture
from aitimestepper.systems.initial import check_apart
from aitimestepper.systems.mixture import MOST_BODIES, mixed_system


@pytest.fixture
def drawn(monkeypatch):
    """300 systems, and how many of each kind."""
    kinds: Counter[str] = Counter()

    def counted(kind):
        def draw(rng):
            kinds[kind.__name__] += 1
            return kind(rng)

        return draw

    monkeypatch.setattr(mixture, "_KINDS", tuple((counted(kind), share) for kind, share in mixture._KINDS))
    rng = np.random.default_rng(11)
    return [mixed_system(rng) for _ in range(300)], kinds


def test_every_draw_is_a_system_that_can_be_integrated(drawn):
    for system in drawn[0]:
        assert 2 <= system.n_bodies <= MOST_BODIES
        assert system.n_dims in (2, 3)
        for array in (system.mass, system.position, system.velocity):
            assert np.isfinite(array).all()
        assert np.count_nonzero(system.mass) >= 1
        check_apart(system, 0.0)


def test_every_kind_is_drawn_about_as_often_as_its_share(drawn):
    systems, kinds = drawn
    shares = dict(mixture._KINDS)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert len(kinds) == len(shares)
    assert sum(kinds.values()) == len(systems)
    assert min(kinds.values()) >= 0.02 * len(systems)


def test_moons_rings_and_crowded_planets_are_a_third_at_most():
    """What a stepper for any system is trained on stays mostly what it was."""
    added = {"moons", "ring", "crowded_planets"}
    shares = {kind.__name__: share for kind, share in mixture._KINDS}
    assert added < set(shares)
    assert sum(share for name, share in shares.items() if name not in added) >= 0.65


def test_large_clusters_are_rare():
    rng = np.random.default_rng(12)
    sizes = np.array([mixture._cluster(rng).n_bodies for _ in range(1000)])
    assert 0.005 < (sizes >= 128).mean() < 0.04
    assert 200 < sizes.max() <= MOST_BODIES
    assert 0.05 < ((sizes >= 24) & (sizes < 128)).mean() < 0.12


def test_pairs_groups_and_clusters_of_all_sizes_and_masses_are_among_them(drawn):
    systems, _ = drawn
    sizes = [system.n_bodies for system in systems]
    assert min(sizes) == 2
    assert max(sizes) > 16
    assert {3, 4, 5} < set(sizes)
    assert {2, 3} == {system.n_dims for system in systems}
    assert any((system.mass == 0.0).any() for system in systems)
    ratios = [system.mass[system.mass > 0].min() / system.mass.max() for system in systems]
    assert min(ratios) < 1e-7
    assert max(ratios) > 0.9


def test_a_seed_draws_the_same_systems_again_and_another_seed_others():
    first, again, other = ([mixed_system(rng) for _ in range(40)] for rng in map(np.random.default_rng, (5, 5, 6)))
    for mine, theirs in zip(first, again, strict=True):
        for name in ("mass", "position", "velocity"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    assert any(mine.n_bodies != theirs.n_bodies for mine, theirs in zip(first, other, strict=True))


def test_bound_and_unbound_pairs_are_among_the_draws(drawn):
    energies = []
    for system in drawn[0]:
        if system.n_bodies == 2:
            apart = np.linalg.norm(system.position[1] - system.position[0])
            speed = np.linalg.norm(system.velocity[1] - system.velocity[0])
            energies.append(0.5 * speed**2 * apart / system.mass.sum() - 1.0)
    assert min(energies) < -0.5
    assert max(energies) > 0.0
