"""
Train on orbits, simulate another
=================================

The two-phase training on 16 two-body orbits, a dozen epochs long, and an orbit that was not among them.
"""

# %%
# The network sees dimensionless ratios and predicts steps in units of the shortest pair time, so what it learns does
# not depend on units.

import tempfile

import matplotlib.pyplot as plt

from aitimestepper import simulate, train

place = tempfile.TemporaryDirectory()
outcome = train(
    num_orbits=16,
    e_min=0.3,
    e_max=0.9,
    feature_type="invariant",
    output_scale="physical",
    hidden_dims=(32, 32),
    lr=3e-3,
    steps_per_epoch=20,
    epochs=12,
    runs_dir=place.name,
    save_name="gallery",
    tensorboard=False,
)

# %%
# The steps follow the distance of the two bodies. Each is near the gate of 2e-4 that the network was trained on; the
# run adds them up, so its error against the start is larger.

model = str(outcome.model_path)
run = simulate("kepler:e=0.8,m2=0.3", periods=3, timestep="learned", model=model, every=1)
figure, (orbit, step) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
relative = run.position[:, 1] - run.position[:, 0]
orbit.plot(*relative.T, ".-", ms=3, lw=0.5, color="#0072B2")
orbit.set(xlabel="x", ylabel="y", aspect="equal", title="a step at each point")
step.semilogy(run.time[1:], run.dt[1:], color="#0072B2", lw=0.8)
step.set(xlabel="time", ylabel="step")
print(f"{run.summary.steps} steps, largest energy error {run.summary.energy_error_max:.1e}")
plt.show()
place.cleanup()
