
double @PREFIX@_timestep(int n, const double *mass, const double *x, const double *v, double tolerance, double G,
                         double softening)
{
    State s;
    double units[WIDEST], free_fall, step;
    s.n = n;
    s.mass = mass;
    s.x = x;
    s.v = v;
    s.G = G;
    s.softening2 = softening * softening;
    if (n < 1 || !is_sound(&s) || !(tolerance >= 0.0))
        return NAN;
    free_fall = fastest_free_fall(&s);
    if (!(free_fall < HUGE_VAL) || (PHYSICAL && !(free_fall > 0.0)))
        return NAN;
    @FILL@;
    step = network_output(units, 0) + 1e-12;
    if (tolerance > 0.0)
        step *= pow(tolerance / THRESHOLD, 1.0 / 3.0);
    return PHYSICAL ? step / sqrt(free_fall) : step;
}
