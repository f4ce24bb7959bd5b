"""Writes images.json: what Pillow 9.4 makes of small images. Run with Debian's python3-pil and python3-numpy:

    /usr/bin/python3 tests/golden/data/make_images.py > tests/golden/data/images.json

Files are base64, pixels hexadecimal RGB rows from top to bottom.
"""

import base64
import io
import json

import numpy
from PIL import Image, ImageEnhance, ImageOps, __version__

FILL = (124, 116, 104)


def picture(width, height, seed):
    """Gradients, a disc and noise, so that every operation has something to do."""
    random = numpy.random.RandomState(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)]
    image = numpy.stack(planes, axis=2)
    image[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 4) ** 2] = (220, 40, 90)
    image = image * 0.8 + 20 + random.normal(0, 8, image.shape)
    return Image.fromarray(numpy.clip(image, 0, 255).astype(numpy.uint8), "RGB")


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def rgb(image):
    return image.convert("RGB").tobytes().hex()


def files():
    image = picture(37, 29, 1)
    grey16 = Image.fromarray((numpy.asarray(image.convert("L")).astype(numpy.uint16) * 257), "I;16")
    alpha = image.copy()
    alpha.putalpha(image.convert("L"))
    made = {
        "jpeg_420": encoded(image, "JPEG", quality=85, subsampling="4:2:0"),
        "jpeg_422": encoded(image, "JPEG", quality=85, subsampling="4:2:2"),
        "jpeg_444": encoded(image, "JPEG", quality=85, subsampling="4:4:4"),
        "jpeg_progressive": encoded(image, "JPEG", quality=70, progressive=True),
        "jpeg_grey": encoded(image.convert("L"), "JPEG"),
        "jpeg_cmyk": encoded(image.convert("CMYK"), "JPEG", quality=90),
        "png_rgb": encoded(image, "PNG"),
        "png_grey": encoded(image.convert("L"), "PNG"),
        "png_bits": encoded(image.convert("1"), "PNG"),
        "png_palette": encoded(image.quantize(16), "PNG"),
        "png_palette_transparent": encoded(image.quantize(16), "PNG", transparency=3),
        "png_alpha": encoded(alpha, "PNG"),
        "png_grey_alpha": encoded(alpha.convert("LA"), "PNG"),
        "png_grey_16": encoded(grey16, "PNG"),
    }
    result = {}
    for name, data in made.items():
        # Pillow cuts 16-bit grey off at 255 instead of scaling it; here its upper byte is meant.
        opened = image.convert("L") if name == "png_grey_16" else Image.open(io.BytesIO(data))
        result[name] = {"file": base64.b64encode(data).decode(), "width": 37, "height": 29, "rgb": rgb(opened)}
    return result


def resizes(image):
    result = []
    for box, size in [
        ((0, 0, 37, 29), (14, 14)),
        ((0, 0, 37, 29), (61, 48)),
        ((5, 3, 35, 23), (32, 32)),
        ((5, 3, 35, 23), (30, 8)),
        ((10, 2, 12, 29), (16, 16)),
        ((0, 0, 37, 29), (37, 29)),
        ((7, 7, 8, 8), (5, 5)),
    ]:
        made = image.crop(box).resize(size, Image.BICUBIC)
        result.append({"box": box, "size": size, "rgb": rgb(made)})
    return result


def center_crops(image):
    """torchvision's Resize(int(256 / 224 * side)) and CenterCrop(side)."""
    result = []
    for width, height, side in [(37, 29, 34), (29, 37, 36), (37, 29, 40), (20, 60, 33), (37, 29, 20)]:
        source = image.resize((width, height), Image.BICUBIC)
        resized = int(256 / 224 * side) if side > 32 else side
        short = min(width, height)
        size = (int(resized * width / short), int(resized * height / short))
        large = source.resize(size, Image.BICUBIC)
        left, top = int(round((size[0] - side) / 2)), int(round((size[1] - side) / 2))
        result.append({"width": width, "height": height, "source": rgb(source), "side": side,
                       "rgb": rgb(large.crop((left, top, left + side, top + side)))})
    return result


def operations(image):
    """timm's operations at several magnitudes; names as in worker/data/rand_augment.h."""
    affine = {"resample": Image.BICUBIC, "fillcolor": FILL}
    width, height = image.size
    result = []

    def add(name, magnitude, negative, made):
        result.append({"operation": name, "magnitude": magnitude, "negative": negative, "rgb": rgb(made)})

    for magnitude in (0, 4.3, 9, 10):
        share = magnitude / 10
        add("posterize", magnitude, False, ImageOps.posterize(image, 4 - int(share * 4)))
        add("solarize", magnitude, False, ImageOps.solarize(image, 256 - int(share * 256)))
        table = [min(255, v + int(share * 110)) if v < 128 else v for v in range(256)]
        add("solarize_add", magnitude, False, image.point(table * 3))
        for negative in (False, True):
            signed = -share if negative else share
            factor = max(0.1, 1.0 + 0.9 * signed)
            add("color", magnitude, negative, ImageEnhance.Color(image).enhance(factor))
            add("contrast", magnitude, negative, ImageEnhance.Contrast(image).enhance(factor))
            add("brightness", magnitude, negative, ImageEnhance.Brightness(image).enhance(factor))
            add("sharpness", magnitude, negative, ImageEnhance.Sharpness(image).enhance(factor))
            if magnitude in (4.3, 9):
                add("rotate", magnitude, negative, image.rotate(30 * signed, **affine))
                for name, matrix in [
                    ("shear_x", (1, 0.3 * signed, 0, 0, 1, 0)),
                    ("shear_y", (1, 0, 0, 0.3 * signed, 1, 0)),
                    ("translate_x", (1, 0, 0.45 * signed * width, 0, 1, 0)),
                    ("translate_y", (1, 0, 0, 0, 1, 0.45 * signed * height)),
                ]:
                    add(name, magnitude, negative, image.transform(image.size, Image.AFFINE, matrix, **affine))
    dull = image.point([60 + v // 3 for v in range(256)] * 3)
    for name, source in [("picture", image), ("dull", dull)]:
        result.append({"operation": "auto_contrast", "source": name, "rgb": rgb(ImageOps.autocontrast(source))})
        result.append({"operation": "equalize", "source": name, "rgb": rgb(ImageOps.equalize(source))})
        result.append({"operation": "invert", "source": name, "rgb": rgb(ImageOps.invert(source))})
    return result, dull


def main():
    image = picture(37, 29, 1)
    small = picture(17, 13, 2)
    operated, dull = operations(small)
    print(json.dumps({
        "pillow": __version__,
        "files": files(),
        "picture": {"width": 37, "height": 29, "rgb": rgb(image)},
        "resizes": resizes(image),
        "center_crops": center_crops(image),
        "small": {"width": 17, "height": 13, "rgb": rgb(small)},
        "dull": {"width": 17, "height": 13, "rgb": rgb(dull)},
        "operations": operated,
    }, indent=0))


if __name__ == "__main__":
    main()
