/* @PREFIX@_timestep.c - see @PREFIX@_timestep.h. Written by AITimeStepper @VERSION@ from @SOURCE@. */
#include "@PREFIX@_timestep.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct {
    int n;
    const double *mass, *x, *v;
    double G, softening2;
} State;

/* A pair: differences of place and velocity (j less i), their squares and product. */
typedef struct {
    double d[3], mass, squared, speed, along;
} Pair;

static Pair pair_of(const State *s, int i, int j)
{
    Pair p;
    int k;
    p.mass = s->mass[i] + s->mass[j];
    p.squared = s->softening2;
    p.speed = p.along = 0.0;
    for (k = 0; k < 3; k++) {
        double dv = s->v[3 * j + k] - s->v[3 * i + k];
        p.d[k] = s->x[3 * j + k] - s->x[3 * i + k];
        p.squared += p.d[k] * p.d[k];
        p.speed += dv * dv;
        p.along += p.d[k] * dv;
    }
    return p;
}

/* max G (m_i + m_j) / r^3 over the pairs, the square of a rate. */
static double fastest_free_fall(const State *s)
{
    double fastest = 0.0;
    int i, j;
    for (i = 1; i < s->n; i++)
        for (j = 0; j < i; j++) {
            Pair p = pair_of(s, i, j);
            if (p.mass > 0.0)
                fastest = fmax(fastest, p.mass / (p.squared * sqrt(p.squared)));
        }
    return s->G * fastest;
}

/* Acceleration of body i by the others. */
static void acceleration(const State *s, int i, double *a)
{
    int j, k;
    a[0] = a[1] = a[2] = 0.0;
    for (j = 0; j < s->n; j++) {
        Pair p;
        double pull;
        if (j == i)
            continue;
        p = pair_of(s, i, j);
        if (!(p.mass > 0.0))
            continue;
        pull = s->G * s->mass[j] / (p.squared * sqrt(p.squared));
        for (k = 0; k < 3; k++)
            a[k] += pull * p.d[k];
    }
}

/* Mean of vectors, weighted by mass. */
static void centre_of(const State *s, const double *vectors, double *centre)
{
    double total = 0.0;
    int i, k;
    centre[0] = centre[1] = centre[2] = 0.0;
    for (i = 0; i < s->n; i++) {
        total += s->mass[i];
        for (k = 0; k < 3; k++)
            centre[k] += s->mass[i] * vectors[3 * i + k];
    }
    for (k = 0; k < 3; k++)
        centre[k] /= total;
}

/* Whether all numbers are finite and some mass is there. */
static int is_sound(const State *s)
{
    double sum = 0.0, total = 0.0;
    int i;
    for (i = 0; i < s->n; i++) {
        if (!(s->mass[i] >= 0.0))
            return 0;
        total += s->mass[i];
    }
    for (i = 0; i < 3 * s->n; i++)
        sum += s->x[i] - s->x[i] + (s->v[i] - s->v[i]);
    return sum == 0.0 && total > 0.0 && total - total == 0.0 && s->G > 0.0 && s->softening2 >= 0.0;
}
