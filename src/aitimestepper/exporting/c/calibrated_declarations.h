enum { @UPPER@_LEAPFROG = 0, @UPPER@_TTL = 1 };

/* The step for a kick-drift-kick leapfrog, a time.
 *
 * tolerance: relative energy error that a run with such steps may have, 1e-12 to 0.1.
 * G: gravitational constant. softening: Plummer length, 0 for none.
 *
 * Returns NaN where there is no step: fewer than two bodies with an attraction between them, two of them at one point
 * without softening, a number that is not finite, a tolerance out of range, no memory (above 256 bodies).
 *
 * A step that follows every state is not reversible, and its energy drifts. Ask every few dozen steps, keep the step
 * between, and take a longer one only when it was wanted for long: examples/c/leapfrog.c does that.
 */
double @PREFIX@_timestep(int n, const double *mass, const double *x, const double *v, double tolerance, double G,
                         double softening);

/* The same for another scheme: of time for @UPPER@_LEAPFROG, of fictitious time for @UPPER@_TTL, the time-transformed
 * leapfrog with Omega = (sum over pairs of ((m_i + m_j) / r)^4)^(1/4). order: 2, 4, 6 or 8; NaN for others.
 * That Omega does not show a light pair beside a heavy body, a moon for instance: use the leapfrog there. */
double @PREFIX@_step(int n, const double *mass, const double *x, const double *v, double tolerance, double G,
                     double softening, int scheme, int order);

/* 1 if the state is like those of the training, 0 if not: its step is then that of the nearest state that is. */
int @PREFIX@_is_familiar(int n, const double *mass, const double *x, const double *v, double G, double softening);
