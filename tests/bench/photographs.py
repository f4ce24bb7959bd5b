"""Images for benchmarks: noise whose spectrum falls off as that of photographs does, as JPEG files.

At 500 by 375 pixels they take about 115 kB each, as those of ImageNet do.
"""

import numpy
from PIL import Image

QUALITY = 90


def photograph(width, height, random):
    """Noise with an amplitude spectrum of 1/f, in three channels that mostly agree."""
    y = numpy.fft.fftfreq(height)[:, None]
    x = numpy.fft.fftfreq(width)[None, :]
    falloff = 1 / numpy.maximum(numpy.hypot(x, y), 1 / max(width, height))

    def plane():
        noise = numpy.fft.ifft2(numpy.fft.fft2(random.normal(size=(height, width))) * falloff).real
        return noise / noise.std()

    grey = plane()
    channels = [numpy.clip(120 + 50 * grey + 15 * plane(), 0, 255) for _ in range(3)]
    return Image.fromarray(numpy.stack(channels, axis=2).astype(numpy.uint8), "RGB")


def write_photographs(folder, count, size, seed=0):
    """Writes `count` files of `size` (width, height) into `folder`, which is made."""
    random = numpy.random.RandomState(seed)
    folder.mkdir(parents=True)
    for i in range(count):
        photograph(*size, random).save(folder / f"{i:03}.jpg", quality=QUALITY)
