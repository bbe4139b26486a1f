"""Microseconds that a call of the exported C function takes: python benchmarks/c_export.py"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from aitimestepper.exporting import export_c
from aitimestepper.weights.file import read_model

PROGRAM = """
#include "ait_timestep.h"
#include <math.h>
#include <stdio.h>
#include <time.h>

int main(void)
{
    static double m[100], x[300], v[300];
    const int sizes[] = {2, 3, 10, 100}, calls[] = {20000, 20000, 10000, 500};
    int i, k;
    for (i = 0; i < 300; i++) {
        m[i / 3] = 1.0 + 0.5 * sin(i / 3);
        x[i] = 3.0 * sin(1.7 * i + 0.3);
        v[i] = 0.5 * cos(2.9 * i);
    }
    for (k = 0; k < 4; k++) {
        double sum = 0.0;
        clock_t began = clock();
        for (i = 0; i < calls[k]; i++) {
            x[0] += 1e-9;
            sum += ait_timestep(sizes[k], m, x, v, 1e-6, 1.0, 0.0);
        }
        began = clock() - began;
        printf("%d bodies: %.2f us, mean step %.3g\\n", sizes[k], (double)began / CLOCKS_PER_SEC / calls[k] * 1e6,
               sum / calls[k]);
    }
    return 0;
}
"""


def main() -> None:
    """Export, compile, run."""
    with tempfile.TemporaryDirectory() as folder:
        _, source = export_c(read_model(None), folder)
        main_file, program = Path(folder) / "main.c", str(Path(folder) / "program")
        main_file.write_text(PROGRAM, encoding="utf-8")
        subprocess.run(
            ["cc", "-std=c99", "-O2", f"-I{folder}", "-o", program, str(main_file), str(source), "-lm"], check=True
        )
        subprocess.run([program], check=True)


if __name__ == "__main__":
    main()
