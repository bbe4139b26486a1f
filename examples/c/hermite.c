/* A fourth-order Hermite integrator with a shared step: Aarseth's criterion against the exported stepper.
 *
 * The step of the stepper is that for a leapfrog-like scheme of order 4; Aarseth's eta is searched for until both cost
 * the same. Two bodies with e = 0.9 and a third far out.
 *
 *     make -C examples/c run
 *
 * Scheme: Makino & Aarseth 1992, PASJ 44, 141; criterion: Aarseth 1985.
 */
#include "ait_timestep.h"

#include <math.h>
#include <stdio.h>

enum { N = 3, D = 3 * N };

static const double mass[N] = {1.0, 0.5, 0.3};

typedef struct {
    double x[D], v[D], a[D], j[D];
} Bodies;

/* Accelerations and their first derivatives, and the potential energy. */
static double forces(const double *x, const double *v, double *a, double *jerk)
{
    double potential = 0.0;
    int i, j, k;
    for (i = 0; i < D; i++)
        a[i] = jerk[i] = 0.0;
    for (i = 1; i < N; i++)
        for (j = 0; j < i; j++) {
            double d[3], w[3], r2 = 0.0, rw = 0.0, r3;
            for (k = 0; k < 3; k++) {
                d[k] = x[3 * j + k] - x[3 * i + k];
                w[k] = v[3 * j + k] - v[3 * i + k];
                r2 += d[k] * d[k];
                rw += d[k] * w[k];
            }
            r3 = r2 * sqrt(r2);
            for (k = 0; k < 3; k++) {
                double pull = d[k] / r3, change = (w[k] - 3.0 * rw / r2 * d[k]) / r3;
                a[3 * i + k] += mass[j] * pull;
                a[3 * j + k] -= mass[i] * pull;
                jerk[3 * i + k] += mass[j] * change;
                jerk[3 * j + k] -= mass[i] * change;
            }
            potential -= mass[i] * mass[j] / sqrt(r2);
        }
    return potential;
}

static double energy(const double *v, double potential)
{
    int i;
    for (i = 0; i < D; i++)
        potential += 0.5 * mass[i / 3] * v[i] * v[i];
    return potential;
}

static double length(const double *a) { return sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]); }

/* Shortest sqrt((|a||s| + j^2) / (|j||c| + s^2)) of a body, with the derivatives at the end of a step of length h. */
static double aarseth(const Bodies *before, const Bodies *b, double h)
{
    double shortest = HUGE_VAL;
    int i, k;
    for (i = 0; i < N; i++) {
        double snap[3], crackle[3], a, j, s, c;
        for (k = 0; k < 3; k++) {
            int m = 3 * i + k;
            double da = before->a[m] - b->a[m];
            double s0 = (-6.0 * da - h * (4.0 * before->j[m] + 2.0 * b->j[m])) / (h * h);
            crackle[k] = (12.0 * da + 6.0 * h * (before->j[m] + b->j[m])) / (h * h * h);
            snap[k] = s0 + h * crackle[k];
        }
        a = length(b->a + 3 * i);
        j = length(b->j + 3 * i);
        s = length(snap);
        c = length(crackle);
        shortest = fmin(shortest, sqrt((a * s + j * j) / (j * c + s * s)));
    }
    return shortest;
}

/* One step of order 4, corrected twice: predict, evaluate, correct, evaluate, correct. */
static double step(Bodies *b, double h, long *evaluations)
{
    Bodies n = *b;
    double potential = 0.0;
    int i, pass;
    for (i = 0; i < D; i++) {
        n.x[i] = b->x[i] + h * (b->v[i] + h * (b->a[i] / 2.0 + h * b->j[i] / 6.0));
        n.v[i] = b->v[i] + h * (b->a[i] + h * b->j[i] / 2.0);
    }
    for (pass = 0; pass < 2; pass++) {
        potential = forces(n.x, n.v, n.a, n.j);
        ++*evaluations;
        for (i = 0; i < D; i++) {
            n.v[i] = b->v[i] + h * (b->a[i] + n.a[i]) / 2.0 + h * h * (b->j[i] - n.j[i]) / 12.0;
            n.x[i] = b->x[i] + h * (b->v[i] + n.v[i]) / 2.0 + h * h * (b->a[i] - n.a[i]) / 12.0;
        }
    }
    *b = n;
    return potential;
}

/* A run by the stepper (tolerance > 0) or by Aarseth's criterion; the largest relative energy error. */
static double run(double end, double tolerance, double eta, long *evaluations)
{
    Bodies b = {{-0.633333, 0, 0, 1.266667, 0, 0, 0, 12, 0}, {0, -0.094, 0, 0, 0.188, 0, -0.35, 0, 0}, {0}, {0}};
    double start = energy(b.v, forces(b.x, b.v, b.a, b.j)), t = 0.0, worst = 0.0, h = 1e-3;
    *evaluations = 1;
    while (t < end) {
        Bodies before = b;
        double potential;
        if (tolerance > 0.0)
            h = ait_step(N, mass, b.x, b.v, tolerance, 1.0, 0.0, AIT_LEAPFROG, 4);
        potential = step(&b, h, evaluations);
        t += h;
        worst = fmax(worst, fabs(energy(b.v, potential) / start - 1.0));
        if (!(tolerance > 0.0))
            h = fmin(eta * aarseth(&before, &b, h), 1.2 * h);
    }
    return worst;
}

int main(void)
{
    const double end = 200.0, asked[] = {1e-3, 1e-4, 1e-5};
    size_t k;
    printf("%10s %12s %12s %22s %8s\n", "asked", "evaluations", "achieved", "Aarseth at equal cost", "eta");
    for (k = 0; k < sizeof asked / sizeof *asked; k++) {
        long evaluations, others = 0;
        double worst = run(end, asked[k], 0.0, &evaluations), low = 1e-4, high = 2.0, eta = 0.0, rival = 0.0;
        while (high / low > 1.005) { /* cost falls with eta */
            eta = sqrt(low * high);
            rival = run(end, 0.0, eta, &others);
            if (others > evaluations)
                low = eta;
            else
                high = eta;
        }
        printf("%10.0e %12ld %12.1e %22.1e %8.3f\n", asked[k], evaluations, worst, rival, eta);
    }
    return 0;
}
