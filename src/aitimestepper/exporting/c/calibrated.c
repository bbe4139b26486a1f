
enum { MOST_ON_THE_STACK = 256 };

static double log_of(double value) { return log(value + 1e-12); }

/* Twelve more ratios, about the pairs that make Omega, behind the ten of `invariant`.
 *
 * Returns the fictitious step that the state sets by itself, or NaN where no memory is left. */
static double describe(const State *s, double free_fall, double *out)
{
    double room[MOST_ON_THE_STACK], *reach = room;
    double omega4 = 0.0, depth = 0.0, mass = 0.0, omega, size, step, soft_unit;
    double reference = 0.0, wide = 0.0, sharing = 0.0, ratio = 0.0, shape = 0.0, energy_sharing = 0.0, overlap = 0.0;
    double tide = 0.0, radial = 0.0, light = 0.0;
    int i, j, k = 10;
    invariant(s, free_fall, out);
    if (s->n > MOST_ON_THE_STACK) {
        reach = (double *)malloc((size_t)s->n * sizeof(double));
        if (reach == NULL)
            return NAN;
    }
    for (i = 0; i < s->n; i++) {
        reach[i] = 0.0;
        mass += s->mass[i];
        for (j = 0; j < i; j++) {
            Pair p = pair_of(s, i, j);
            double inverse, cubed, power;
            if (!(p.mass > 0.0))
                continue;
            inverse = 1.0 / sqrt(p.squared);
            cubed = inverse * inverse * inverse;
            reach[i] += s->mass[j] * cubed;
            reach[j] += s->mass[i] * cubed;
            power = p.mass * inverse;
            power *= power;
            omega4 += power * power;
            depth += s->mass[i] * s->mass[j] * inverse;
        }
    }
    omega = sqrt(sqrt(omega4));
    size = depth > 0.0 ? mass * mass / depth : mass / omega;
    soft_unit = 0.3 / size;
    for (i = 1; i < s->n; i++)
        for (j = 0; j < i; j++) {
            Pair p = pair_of(s, i, j);
            double inverse, attraction, excess, soft, energy, bound, strength, share, part, momentum, others;
            if (!(p.mass > 0.0))
                continue;
            inverse = 1.0 / sqrt(p.squared);
            attraction = s->G * p.mass * inverse;
            excess = 0.5 * p.speed - attraction;
            soft = s->G * p.mass * soft_unit;
            energy = sqrt(excess * excess + soft * soft);
            bound = fmin(attraction / energy, 1.0);
            strength = bound * 2.0 * energy * inverse * inverse / omega / omega;
            share = p.mass * inverse / omega;
            share *= share;
            share *= share;
            part = depth > 0.0 ? s->mass[i] * s->mass[j] * inverse / depth : 0.0;
            momentum = p.speed * p.squared - p.along * p.along;
            reference += strength * strength;
            wide += strength;
            sharing += share * share;
            ratio += share * sqrt(2.0 * energy) / p.mass;
            shape += share * (1.0 + 2.0 * excess * momentum / (s->G * p.mass * s->G * p.mass));
            energy_sharing += part * part;
            overlap += share * part;
            others = (reach[i] + reach[j]) * p.squared / (p.mass * inverse) - 1.0;
            tide += share * (others > ROUNDING ? others : 0.0);
            radial += share * energy / attraction;
            light += share * s->mass[i] * s->mass[j] / (p.mass * p.mass);
        }
    if (reach != room)
        free(reach);
    step = 1.0 / sqrt(sqrt(reference));
    out[k++] = log_of(step * ratio);
    out[k++] = log_of(sharing);
    out[k++] = log_of(overlap);
    out[k++] = log(fmax(shape, 0.0) + 1e-3);
    out[k++] = log_of(energy_sharing);
    out[k++] = log_of(tide);
    out[k++] = log(mass / (omega * size));
    out[k++] = log_of(radial);
    out[k++] = log_of(light);
    out[k++] = log_of(reference > 0.0 ? wide * wide / reference : 1.0);
    out[k++] = log((double)s->n);
    out[k++] = log(step * sqrt(s->G) / sqrt(mass * size));
    return step;
}

static int is_known(const double *traits)
{
    int k;
    for (k = 0; k < TRAITS; k++) {
        double margin = 0.1 * (highest[k] - lowest[k]);
        if (!(traits[k] >= lowest[k] - margin && traits[k] <= highest[k] + margin))
            return 0;
    }
    return 1;
}

/* Each ratio of a state unlike those of the training becomes the nearest one in its range. Returns by what its fictitious
 * step is longer: n equal pairs make Omega larger by n^(1/4), and none of them faster. */
static double into_range(double *traits)
{
    double crowd;
    int k;
    if (is_known(traits))
        return 1.0;
    crowd = exp(0.25 * fmax(lowest[@CONCENTRATION@] - traits[@CONCENTRATION@], 0.0));
    for (k = 0; k < TRAITS; k++)
        traits[k] = traits[k] >= lowest[k] ? fmin(traits[k], highest[k]) : lowest[k];
    return crowd;
}

/* Square of the fastest rate of a pair, free fall and passing by together. */
static double fly_by_rate(const State *s)
{
    double fastest = 0.0;
    int i, j;
    for (i = 1; i < s->n; i++)
        for (j = 0; j < i; j++) {
            Pair p = pair_of(s, i, j);
            if (p.mass > 0.0)
                fastest = fmax(fastest, (p.speed + s->G * p.mass / sqrt(p.squared)) / p.squared);
        }
    return fastest;
}

/* Fill the state; whether a step can be chosen for it, and its fastest free-fall rate. */
static int opened(State *s, int n, const double *mass, const double *x, const double *v, double G, double softening,
                  double *free_fall)
{
    s->n = n;
    s->mass = mass;
    s->x = x;
    s->v = v;
    s->G = G;
    s->softening2 = softening * softening;
    if (n < 2 || !is_sound(s))
        return 0;
    *free_fall = fastest_free_fall(s);
    return *free_fall > 0.0 && *free_fall < HUGE_VAL;
}

double @PREFIX@_step(int n, const double *mass, const double *x, const double *v, double tolerance, double G,
                     double softening, int scheme, int order)
{
    State s;
    double units[WIDEST], free_fall, reference, factor, longest, demand, crowd;
    int head = (scheme == @UPPER@_TTL ? 0 : 4) + order / 2 - 1;
    if (!(tolerance >= 1e-12 && tolerance <= 0.1) || (scheme != @UPPER@_LEAPFROG && scheme != @UPPER@_TTL)
        || order % 2 || order < 2 || order > 8 || !opened(&s, n, mass, x, v, G, softening, &free_fall))
        return NAN;
    reference = describe(&s, free_fall, units);
    if (!(reference > 0.0 && reference < HUGE_VAL))
        return NAN;
    crowd = into_range(units);
    demand = log10(tolerance) / order;
    units[TRAITS] = fmin(fmax(demand, @LOWEST_DEMAND@), @HIGHEST_DEMAND@);
    factor = network_output(units, head) * pow(tolerance, 1.0 / order);
    longest = scheme == @UPPER@_TTL ? @LONGEST_FICTITIOUS@ : @LONGEST_ETA@;
    factor = fmin(factor, longest);
    return scheme == @UPPER@_TTL ? reference * crowd * factor : factor / sqrt(fly_by_rate(&s));
}

double @PREFIX@_timestep(int n, const double *mass, const double *x, const double *v, double tolerance, double G,
                         double softening)
{
    return @PREFIX@_step(n, mass, x, v, tolerance, G, softening, @UPPER@_LEAPFROG, 2);
}

int @PREFIX@_is_familiar(int n, const double *mass, const double *x, const double *v, double G, double softening)
{
    State s;
    double units[WIDEST], free_fall, reference;
    if (!opened(&s, n, mass, x, v, G, softening, &free_fall))
        return 0;
    reference = describe(&s, free_fall, units);
    return reference > 0.0 && is_known(units);
}
