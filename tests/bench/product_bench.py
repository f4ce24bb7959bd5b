"""The frame of benchmarks that measure a whole product: BUILD_DIRECTORY from the command line, figures to stdout, bounds kept."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import product as products  # noqa: E402, from the folder just added


def run(name, measure, bounds):
    """Measures with `measure(build, product)`, which returns figures by name, and prints them as one JSON object.

    `bounds` is name -> (least, most), None where there is none. Returns the exit code: 1, and each broken bound on stderr.
    """
    build = os.path.abspath(sys.argv[1])
    products.BIN_DIR = os.path.join(build, "bin")
    product = products.Product()
    try:
        figures = measure(build, product)
    finally:
        product.close()
    print(json.dumps({figure: round(value, 4) for figure, value in figures.items()}))
    broken = list(_broken(figures, bounds))
    for bound in broken:
        print(f"{name}: {bound}", file=sys.stderr)
    return 1 if broken else 0


def _broken(figures, bounds):
    for figure, (least, most) in bounds.items():
        if least is not None and figures[figure] < least:
            yield f"{figure} is {figures[figure]:.4g}, want at least {least}"
        if most is not None and figures[figure] > most:
            yield f"{figure} is {figures[figure]:.4g}, want at most {most}"
