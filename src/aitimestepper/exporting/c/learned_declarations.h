/* The step for a kick-drift-kick leapfrog, a time.
 *
 * tolerance: relative energy error of one step; @THRESHOLD@ is what the network was trained to stay below, and other
 * values scale the step by the cube root of the ratio; 0 for that of the training.
 * G: gravitational constant. softening: Plummer length, 0 for none.
 *
 * Returns NaN where there is no step: no body with mass, two bodies at one point without softening, a number that is not
 * finite, a negative tolerance.
 */
double @PREFIX@_timestep(int n, const double *mass, const double *x, const double *v, double tolerance, double G,
                         double softening);
