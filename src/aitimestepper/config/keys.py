"""The keys of runs, and of runs and trainings alike, in groups; those of trainings alone are in `training_keys`.

A field says its type, default, bounds and meaning once; the group that it stands in is its section in the help, and
`commands` of the group says which subcommands take it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from aitimestepper.names import (
    COMMANDS,
    TIMESTEPS,
    Collisions,
    Command,
    Integrator,
    Omega,
    OmegaWeight,
    ToleranceKind,
    WhCoordinates,
    WhKind,
)

_SIMULATE: tuple[Command, ...] = ("simulate",)
_ENSEMBLE: tuple[Command, ...] = ("ensemble",)
_COMPARE: tuple[Command, ...] = ("compare",)
_RUN: tuple[Command, ...] = ("simulate", "ensemble")
_REPORT: tuple[Command, ...] = ("simulate", "ensemble", "compare")


Guard = Annotated[float, Field(ge=1e-15)]
"""Below rounding a guard would refuse every step."""


class KeyGroup(BaseModel):
    """A group of keys; `commands` are the subcommands that take them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, defer_build=True)
    commands: ClassVar[tuple[Command, ...]] = COMMANDS


class PhysicsKeys(KeyGroup):
    """Physics"""

    G: float = Field(1.0, gt=0, description="gravitational constant in the user's units")
    softening: float = Field(0.0, ge=0, le=1e100, description="Plummer softening length, the same in force and energy")
    external_field_mass: float | None = Field(
        None, gt=0, description="mass of a distant point mass whose tide acts on the system"
    )
    external_field_position: tuple[float, ...] | None = Field(
        None, description="position of that point mass, as many numbers as dimensions"
    )


class ForceKeys(KeyGroup):
    """Further forces of the heaviest body"""

    commands = _RUN
    relativity: bool = Field(
        False, description="general relativity to first order, as a potential that turns pericentres at the right rate"
    )
    light_speed: float | None = Field(
        None, gt=0, description="speed of light in the units of the run (default: from the units of the bodies)"
    )
    J2: float | None = Field(None, description="oblateness, the second zonal harmonic")
    J2_radius: float | None = Field(None, gt=0, description="equatorial radius that J2 belongs to")
    J2_pole: tuple[float, ...] = Field((0.0, 0.0, 1.0), description="direction of the pole, three numbers")


class SystemKeys(KeyGroup):
    """Initial conditions"""

    ic: str | None = Field(
        None,
        description="initial conditions: a name with options (kepler:e=0.6,a=1; see 'ic --list'), a file, or a system "
        "of a training (runs/first:system=0)",
        json_schema_extra={"metavar": "SPEC"},
    )


class SystemSetKeys(KeyGroup):
    """Several systems"""

    commands: ClassVar[tuple[Command, ...]] = ("train", "compare")
    systems: tuple[str, ...] | None = Field(
        None,
        description="several initial conditions, in place of --ic, with spaces between them; train also takes folders "
        "of files",
        json_schema_extra={"metavar": "SPEC"},
    )


class RuntimeKeys(KeyGroup):
    """Run"""

    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything that is drawn")
    overwrite: bool = Field(False, description="replace outputs that exist")


class StepKeys(KeyGroup):
    """Time step"""

    commands = _RUN
    timestep: str | None = Field(
        None,
        description="how the step is chosen, or the name of a criterion of your own (default: learned; of gbs "
        "estimate, by its own errors)",
        json_schema_extra={"metavar": "{" + ",".join(name for name in TIMESTEPS if name != "estimate") + "}"},
    )
    dt: float | None = Field(None, gt=0, description="the step of --timestep fixed")
    h: float | None = Field(
        None, gt=0, description="the fixed step of --integrator ttl, in the unit of Omega times time"
    )
    eta: float | None = Field(None, gt=0, description="step over the time scale of the criterion")
    tolerance: float | None = Field(
        None,
        gt=0,
        description="relative energy error wanted: of the whole run with calibrated weights, of one step with others "
        "(default: as trained); of a classical criterion, another way to set eta = tolerance^(1/order)",
    )
    tolerance_kind: ToleranceKind = Field(
        "run",
        description="calibrated weights: what is held to the tolerance, the run or each step; with none nothing is",
    )
    model: str | None = Field(
        None,
        description="weights of --timestep learned: a model file or a run directory (default: the calibrated weights "
        "that come with the package)",
        json_schema_extra={"metavar": "PATH"},
    )
    dt_min: float | None = Field(None, gt=0, description="shortest step in time; wanted steps below it become it")
    dt_max: float | None = Field(None, gt=0, description="longest step in time")
    reversible: bool | None = Field(
        None,
        description="choose variable steps the same both ways in time, which removes the drift of the energy "
        "(default: on, but for weights of your own with invariant features or a history)",
    )
    guard: Guard | Literal["off"] | None = Field(
        None,
        description="relative energy error above which a step is undone and retried with a shorter one, or off "
        "(default: the threshold of the training, or the tolerance, for weights of your own; off else)",
        json_schema_extra={"metavar": "{X,off}"},
    )


class IntegratorKeys(KeyGroup):
    """Integrator"""

    commands = _RUN
    integrator: Integrator | None = Field(
        None,
        description="leapfrog; ttl, the time-transformed leapfrog; gbs, its extrapolation, with steps and orders of "
        "its own; wh, Wisdom-Holman, for planets of one star; or auto, ttl and once three bodies meet gbs "
        "(default: auto for a tolerance of the whole run)",
    )
    order: int | None = Field(
        None,
        ge=2,
        le=8,
        multiple_of=2,
        description="order 2, 4, 6 or 8: 1, 5, 9 or 17 force evaluations a step (default: for calibrated steps by the "
        "tolerance, else 2)",
    )
    omega: Omega = Field("pair-norm", description="what the time of ttl is transformed with")
    omega_q: float = Field(4.0, ge=1, le=64, description="power of pair-norm: (sum (w/r)^q)^(1/q)")
    omega_weight: OmegaWeight = Field("mass-sum", description="w of pair-norm and sum: m_i + m_j, or 1")
    wh_kind: WhKind = Field(
        "corrected",
        description="steps of wh: plain, corrected (symplectic corrector of order 17), or saba, SABA(10,6,4), of 8 "
        "force evaluations",
    )
    wh_coordinates: WhCoordinates = Field("jacobi", description="coordinates of wh: jacobi, or democratic heliocentric")


class SimulationKeys(KeyGroup):
    """Length of the run"""

    commands = _REPORT
    duration: float | None = Field(None, description="time to simulate, not 0; below 0 the run goes back in time")
    periods: float | None = Field(None, description="orbital periods to simulate, likewise")
    steps: int | None = Field(None, ge=1, description="steps to simulate")


class StopKeys(KeyGroup):
    """What ends the run before its end, or bodies in it"""

    commands = _RUN
    stop_distance: float | None = Field(
        None,
        gt=0,
        description="end the run at the time at which an unbound body is farther than this from the centre of mass",
    )
    stop_approach: float | None = Field(
        None, gt=0, description="end the run at the time at which two bodies are nearer to each other than this"
    )
    collisions: Collisions = Field(
        "ignore",
        description="what happens at the time at which two bodies with radii touch: nothing, the run ends, or they "
        "become one that keeps mass, momentum and volume",
    )


class OutputKeys(KeyGroup):
    """Output"""

    commands = _REPORT
    output: str | None = Field(
        None,
        description="file for the result; a recording as .bin is a REBOUND archive",
        json_schema_extra={"metavar": "F.h5"},
    )
    json_summary: bool = Field(False, alias="json", description="print the result as one JSON object")


class FrameKeys(KeyGroup):
    """Which states are kept"""

    commands = _SIMULATE
    every: int | None = Field(
        None, ge=1, description="keep every N-th state (default: about 1,000 states, evenly over the run)"
    )
    samples: int | None = Field(
        None, ge=1, description="keep N states at exactly equal intervals of time, at a few more force evaluations"
    )
    times: str | None = Field(
        None,
        description="file with times at which a state is kept, exactly: one a line, or a .npy; the run ends with the "
        "last one unless a length is set",
        json_schema_extra={"metavar": "FILE"},
    )
    step_history: bool = Field(False, description="keep time, step and energy of every step, and what changed it")


class ConfirmationKeys(KeyGroup):
    """Confirmation"""

    commands = _SIMULATE
    confirm: bool = Field(
        False,
        description="make a second run at a tenth of the tolerance and report how far its positions are from those of "
        "the first",
    )


class EnsembleKeys(KeyGroup):
    """Ensemble"""

    commands = _ENSEMBLE
    count: int = Field(100, ge=1, description="members; a system that is drawn gets the seeds seed, seed + 1, ...")
    threads: int | None = Field(None, ge=1, description="threads that integrate (default: one for each core)")
    scheduler: str | None = Field(
        None,
        description="address of a Dask scheduler, whose workers then integrate",
        json_schema_extra={"metavar": "ADDRESS"},
    )


class CompareKeys(KeyGroup):
    """Comparison"""

    commands = _COMPARE
    methods: tuple[str, ...] | None = Field(
        None,
        description="what is compared: INTEGRATOR[ORDER]:STEP[/OPTION], see the end of this help",
        json_schema_extra={"metavar": "METHOD"},
    )
    evaluations: tuple[int, ...] = Field(
        (3000, 10_000, 30_000), description="force evaluations that every method is tuned to spend on every system"
    )
    figure: str | None = Field(
        None, description="work-precision figure to draw (.png, .pdf or .svg)", json_schema_extra={"metavar": "F.png"}
    )
