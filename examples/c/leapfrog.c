/* The time-transformed leapfrog in C, its step chosen by the exported stepper: the Pythagorean problem, masses 3, 4 and
 * 5 from rest, to the time 10.
 *
 *     make -C examples/c run
 *
 * Scheme: Mikkola & Aarseth 2002, Celest. Mech. 84, 343, with Omega = (sum of ((m_i + m_j) / r)^4)^(1/4).
 */
#include "ait_timestep.h"

#include <math.h>
#include <stdio.h>

enum { N = 3, D = 3 * N, ASK_EVERY = 64 };

static const double mass[N] = {3.0, 4.0, 5.0};

typedef struct {
    double potential, omega, a[D], gradient[D]; /* of Omega */
} Field;

static Field field_at(const double *x)
{
    Field f = {0.0, 0.0, {0.0}, {0.0}};
    double sum = 0.0;
    int i, j, k;
    for (i = 1; i < N; i++)
        for (j = 0; j < i; j++) {
            double d[3], r2 = 0.0, r, power;
            for (k = 0; k < 3; k++) {
                d[k] = x[3 * j + k] - x[3 * i + k];
                r2 += d[k] * d[k];
            }
            r = sqrt(r2);
            power = pow((mass[i] + mass[j]) / r, 4.0);
            sum += power;
            f.potential -= mass[i] * mass[j] / r;
            for (k = 0; k < 3; k++) {
                f.a[3 * i + k] += mass[j] * d[k] / (r2 * r);
                f.a[3 * j + k] -= mass[i] * d[k] / (r2 * r);
                f.gradient[3 * i + k] += power * d[k] / r2;
                f.gradient[3 * j + k] -= power * d[k] / r2;
            }
        }
    f.omega = pow(sum, 0.25);
    for (i = 0; i < D; i++)
        f.gradient[i] *= f.omega / sum;
    return f;
}

static double energy(const double *v, double potential)
{
    int i;
    for (i = 0; i < D; i++)
        potential += 0.5 * mass[i / 3] * v[i] * v[i];
    return potential;
}

/* A run to `end`; with a tolerance the stepper chooses, else every step is `dt` of time. The worst energy error. */
static double run(double end, double tolerance, double dt, long *steps)
{
    double x[D] = {1, 3, 0, -2, -1, 0, 1, -1, 0}, v[D] = {0}, t = 0.0, h = HUGE_VAL, worst = 0.0;
    Field f = field_at(x);
    double start = energy(v, f.potential), w = f.omega;
    int i;
    *steps = 0;
    while (t < end) {
        double half, kick, change = 0.0;
        /* A step that is constant between changes keeps the scheme symmetric: shorter at once, never longer again. */
        if (tolerance > 0.0 && *steps % ASK_EVERY == 0)
            h = fmin(h, ait_step(N, mass, x, v, tolerance, 1.0, 0.0, AIT_TTL, 2));
        half = tolerance > 0.0 ? 0.5 * h / w : 0.5 * dt;
        for (i = 0; i < D; i++)
            x[i] += half * v[i];
        t += half;
        f = field_at(x);
        kick = tolerance > 0.0 ? h / f.omega : dt;
        for (i = 0; i < D; i++) {
            double before = v[i];
            v[i] += kick * f.a[i];
            change += 0.5 * (before + v[i]) * f.gradient[i];
        }
        w += kick * change;
        half = tolerance > 0.0 ? 0.5 * h / w : 0.5 * dt;
        for (i = 0; i < D; i++)
            x[i] += half * v[i];
        t += half;
        ++*steps;
        f = field_at(x); /* only for the energy, which a production run needs less often */
        worst = fmax(worst, fabs(energy(v, f.potential) / start - 1.0));
    }
    return worst;
}

int main(void)
{
    const double end = 10.0, asked[] = {1e-2, 1e-3, 1e-4};
    size_t k;
    printf("%10s %10s %12s %22s\n", "asked", "steps", "achieved", "fixed step, same cost");
    for (k = 0; k < sizeof asked / sizeof *asked; k++) {
        long steps, others;
        double worst = run(end, asked[k], 0.0, &steps);
        printf("%10.0e %10ld %12.1e %22.1e\n", asked[k], steps, worst, run(end, 0.0, end / (double)steps, &others));
    }
    return 0;
}
