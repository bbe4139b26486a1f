
static double positive_or_one(double value) { return value > 0.0 ? value : 1.0; }

/* Ten pure ratios, the same in all units. */
typedef struct {
    double potential, square, fourth, curvature, eccentricity, virial, radial_part, fall, fly, radial;
} PairSums;

static PairSums pair_sums(const State *s, double fastest, double depth)
{
    PairSums t = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    int i, j;
    for (i = 1; i < s->n; i++)
        for (j = 0; j < i; j++) {
            Pair p = pair_of(s, i, j);
            double inverse, inverse2, radial, transverse, energy, unit, bound, ratio, fall, fly, plunge, rate, weight;
            if (!(p.squared > 0.0 && p.mass > 0.0))
                continue; /* it does not attract, or lies at one point */
            inverse2 = 1.0 / p.squared;
            inverse = sqrt(inverse2);
            radial = p.along * p.along * inverse2;
            transverse = p.speed > radial ? p.speed - radial : 0.0;
            energy = s->mass[i] * s->mass[j] * inverse;
            unit = s->G * p.mass * inverse;
            bound = 1.0 / unit;
            ratio = p.speed * bound;
            fall = unit * inverse2 / fastest;
            fly = p.speed * inverse2 / fastest;
            plunge = radial * inverse2 / fastest;
            rate = energy / depth * (fly + fall);
            weight = rate * rate;
            t.potential += energy;
            t.square += weight;
            t.fourth += weight * weight;
            t.curvature += energy * inverse2 * (p.speed - 3.0 * radial);
            t.eccentricity += weight * (1.0 + transverse * bound * (ratio - 2.0));
            t.virial += weight * ratio;
            t.radial_part += weight * (p.speed > 0.0 ? radial / p.speed : 0.0);
            fall *= fall;
            fly *= fly;
            plunge *= plunge;
            t.fall += fall * fall;
            t.fly += fly * fly;
            t.radial += plunge * plunge;
        }
    return t;
}

/* Largest m_i m_j / r (v^2 / r^2 + G M / r^3) of a pair, over `fastest`. */
static double largest_rate(const State *s, double fastest)
{
    double largest = 0.0;
    int i, j;
    for (i = 1; i < s->n; i++)
        for (j = 0; j < i; j++) {
            Pair p = pair_of(s, i, j);
            if (p.squared > 0.0 && p.mass > 0.0) {
                double distance = sqrt(p.squared);
                double rate = (p.speed + s->G * p.mass / distance) / p.squared / fastest;
                largest = fmax(largest, s->mass[i] * s->mass[j] / distance * rate);
            }
        }
    return largest;
}

static void invariant(const State *s, double free_fall, double *out)
{
    double kinetic = 0.0, kick = 0.0, mass = 0.0, centre[3], a[3], fastest, depth, energy, total, weight, scale, floor;
    PairSums t;
    int i, k;
    for (k = 0; k < 10; k++)
        out[k] = 0.0;
    if (s->n < 2)
        return;
    centre_of(s, s->v, centre);
    for (i = 0; i < s->n; i++) {
        acceleration(s, i, a);
        for (k = 0; k < 3; k++) {
            double dv = s->v[3 * i + k] - centre[k];
            kinetic += s->mass[i] * dv * dv;
            kick += s->mass[i] * a[k] * a[k];
        }
        mass += s->mass[i];
    }
    fastest = free_fall > 0.0 && free_fall < HUGE_VAL ? free_fall : 1.0;
    depth = mass * mass * cbrt(fastest / (s->G * mass));
    t = pair_sums(s, fastest, depth);
    if (!(t.square > 1e-60 && t.square < 1e60)) {
        /* Its fourth powers leave the range of numbers: the largest itself is a better unit. */
        depth = positive_or_one(largest_rate(s, fastest));
        t = pair_sums(s, fastest, depth);
    }
    energy = positive_or_one(0.5 * kinetic + s->G * t.potential);
    total = t.square > 0.0 ? s->G * depth * fastest * sqrt(t.square) / energy : 1.0;
    weight = positive_or_one(t.square);
    out[0] = s->G * t.curvature / (12.0 * energy * total);
    out[1] = kick / (24.0 * energy * total);
    out[2] = out[0] - out[1];
    out[3] = log(fmax(t.eccentricity / weight, 0.0) + 1e-4);
    out[4] = log(t.virial / weight + 1e-2);
    out[5] = t.radial_part / weight;
    out[6] = t.fourth / (weight * weight);
    scale = fastest / total;
    t.fall = scale * sqrt(sqrt(t.fall));
    t.fly = scale * sqrt(sqrt(t.fly));
    t.radial = scale * sqrt(sqrt(t.radial));
    floor = 1e-6 * t.fall;
    out[7] = 0.5 * log(positive_or_one(t.fall));
    out[8] = 0.5 * log(positive_or_one(t.fly + floor));
    out[9] = 0.5 * log(positive_or_one(t.radial + floor));
}
