
static double activated(double x)
{
    switch (ACTIVATION) {
    case 0:
        return tanh(x);
    case 1:
        return x < 0.0 ? 0.0 : x;
    case 2:
        return x / (1.0 + exp(-x));
    default:
        return 1.0 / (1.0 + exp(-x));
    }
}

/* An output of the network, after the softplus; `units` is filled with its inputs, and overwritten. */
static double network_output(double *units, int output)
{
    static const double two_pi = 6.283185307179586476925;
    double next[WIDEST];
    const double *w = weights;
    int layer, i, o;
    for (o = 0; o < FREQUENCIES; o++) {
        double phase = 0.0;
        for (i = 0; i < FEATURES; i++)
            phase += units[i] * w[i * FREQUENCIES + o];
        units[FEATURES + o] = sin(two_pi * phase);
        units[FEATURES + FREQUENCIES + o] = cos(two_pi * phase);
    }
    w += FEATURES * FREQUENCIES;
    for (layer = 0; layer < LAYERS; layer++) {
        int n_in = widths[layer], n_out = widths[layer + 1], last = layer == LAYERS - 1;
        for (o = 0; o < n_out; o++)
            next[o] = w[n_in * n_out + o];
        for (i = 0; i < n_in; i++)
            for (o = 0; o < n_out; o++)
                next[o] += units[i] * w[i * n_out + o];
        for (o = 0; o < n_out; o++)
            units[o] = last ? next[o] : activated(next[o]);
        w += (n_in + 1) * n_out;
    }
    return units[output] > 20.0 ? units[output] : log1p(exp(units[output]));
}
