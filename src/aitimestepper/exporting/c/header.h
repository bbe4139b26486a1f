/* @PREFIX@_timestep.h - time steps for gravitational N-body simulations, chosen by a small neural network.
 *
 * Written by AITimeStepper @VERSION@ from @SOURCE@.
 * C99 and C++; needs nothing but this file, @PREFIX@_timestep.c and the mathematics library (-lm). All functions may be called from
 * any number of threads at once: nothing is kept between calls.
 *
 * Arrays: mass is (n,), x and v are (n, 3), row by row, in any frame. Any units will do that agree with each other.
 */
#ifndef @GUARD@
#define @GUARD@

#ifdef __cplusplus
extern "C" {
#endif

@DECLARATIONS@
#ifdef __cplusplus
}
#endif

#endif
