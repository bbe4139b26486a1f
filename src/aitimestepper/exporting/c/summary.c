
/* Sum of lengths, sum of their squares, least and largest. */
typedef struct {
    double sum, squares, least, largest;
} Lengths;

static const Lengths none = {0.0, 0.0, HUGE_VAL, 0.0};

static void add_length(Lengths *t, double squared)
{
    double length = sqrt(squared);
    t->sum += length;
    t->squares += squared;
    t->least = fmin(t->least, length);
    t->largest = fmax(t->largest, length);
}

static double squared_distance(const double *a, const double *b)
{
    double d[3];
    int k;
    for (k = 0; k < 3; k++)
        d[k] = a[k] - b[k];
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static int put(double *out, Lengths t, int n, double scale)
{
    out[0] = t.sum / n / scale;
    out[1] = t.least / scale;
    out[2] = t.largest / scale;
    out[3] = sqrt(t.squares / n) / scale;
    return 4;
}

/* Sums and extremes over the bodies and the pairs, over the scales of the training. */
static void summary(const State *s, double *out)
{
    static const double origin[3] = {0.0, 0.0, 0.0};
    Lengths radius = none, speed = none, pull = none, apart = none;
    double x0[3], v0[3], a[3], total = 0.0, squares = 0.0, least = HUGE_VAL, largest = 0.0, pairs;
    int i, j, k = 0, n = s->n;
    centre_of(s, s->x, x0);
    centre_of(s, s->v, v0);
    for (i = 0; i < n; i++) {
        double m = s->mass[i];
        total += m;
        squares += m * m;
        least = fmin(least, m);
        largest = fmax(largest, m);
        add_length(&radius, squared_distance(s->x + 3 * i, x0));
        add_length(&speed, squared_distance(s->v + 3 * i, v0));
        acceleration(s, i, a);
        add_length(&pull, squared_distance(a, origin));
        for (j = 0; j < i; j++)
            add_length(&apart, squared_distance(s->x + 3 * i, s->x + 3 * j));
    }
    pairs = n > 1 ? 0.5 * n * (n - 1.0) : 1.0;
    if (n < 2)
        apart.least = 0.0;
    out[k++] = n;
    out[k++] = DIMENSIONS;
    out[k++] = total;
    if (RICH) {
        out[k++] = total / n;
        out[k++] = least;
        out[k++] = largest;
        out[k++] = sqrt(squares / n);
        k += put(out + k, radius, n, LENGTH_SCALE);
        k += put(out + k, speed, n, SPEED_SCALE);
        k += put(out + k, pull, n, ACCELERATION_SCALE);
    } else {
        out[k++] = radius.sum / n / LENGTH_SCALE;
        out[k++] = radius.largest / LENGTH_SCALE;
        out[k++] = speed.sum / n / SPEED_SCALE;
        out[k++] = speed.largest / SPEED_SCALE;
        out[k++] = pull.sum / n / ACCELERATION_SCALE;
        out[k++] = pull.largest / ACCELERATION_SCALE;
    }
    out[k++] = apart.least / LENGTH_SCALE;
    out[k++] = apart.sum / pairs / LENGTH_SCALE;
    if (RICH) {
        out[k++] = apart.largest / LENGTH_SCALE;
        out[k++] = sqrt(s->softening2) / LENGTH_SCALE;
    }
}
