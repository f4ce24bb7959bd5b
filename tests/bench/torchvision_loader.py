"""The peer of timed_loader.cc: the same recipe by torchvision and Pillow, in one thread.

usage: torchvision_loader.py FOLDER SIDE IMAGES

RandAugment is timm's "rand-m9-mstd0.5-inc1", written with the same Pillow calls; torchvision's own has other operations.
"""

import json
import random
import sys
import time

import torch
import torchvision
from PIL import Image, ImageEnhance, ImageOps
from torchvision import transforms

AFFINE = {"resample": Image.BICUBIC, "fillcolor": (124, 116, 104)}


def sign(share):
    return share if random.random() < 0.5 else -share


def factor(share):
    return max(0.1, 1 + 0.9 * sign(share))


def solarize_add(image, share):
    return image.point([min(255, v + int(110 * share)) if v < 128 else v for v in range(256)] * 3)


def affine(image, *matrix):
    return image.transform(image.size, Image.AFFINE, matrix, **AFFINE)


OPERATIONS = [
    lambda i, s: ImageOps.autocontrast(i),
    lambda i, s: ImageOps.equalize(i),
    lambda i, s: ImageOps.invert(i),
    lambda i, s: i.rotate(30 * sign(s), **AFFINE),
    lambda i, s: ImageOps.posterize(i, 4 - int(4 * s)),
    lambda i, s: ImageOps.solarize(i, 256 - int(256 * s)),
    solarize_add,
    lambda i, s: ImageEnhance.Color(i).enhance(factor(s)),
    lambda i, s: ImageEnhance.Contrast(i).enhance(factor(s)),
    lambda i, s: ImageEnhance.Brightness(i).enhance(factor(s)),
    lambda i, s: ImageEnhance.Sharpness(i).enhance(factor(s)),
    lambda i, s: affine(i, 1, 0.3 * sign(s), 0, 0, 1, 0),
    lambda i, s: affine(i, 1, 0, 0, 0.3 * sign(s), 1, 0),
    lambda i, s: affine(i, 1, 0, 0.45 * sign(s) * i.width, 0, 1, 0),
    lambda i, s: affine(i, 1, 0, 0, 0, 1, 0.45 * sign(s) * i.height),
]


def rand_augment(image):
    for operation in random.choices(OPERATIONS, k=2):
        if random.random() < 0.5:
            image = operation(image, min(10, max(0, random.gauss(9, 0.5))) / 10)
    return image


class PixelErasing(transforms.RandomErasing):
    """Fills with noise, as the recipe's "pixel" mode does."""

    def __init__(self):
        super().__init__(p=0.25, scale=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3), value="random")


def main():
    folder, side, images = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    recipe = transforms.Compose([
        transforms.RandomResizedCrop(side, scale=(0.08, 1), interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.RandomHorizontalFlip(),
        rand_augment,
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        PixelErasing(),
    ])
    dataset = torchvision.datasets.ImageFolder(folder, recipe)
    loader = torch.utils.data.DataLoader(dataset, batch_size=32, shuffle=True, drop_last=True, num_workers=0)
    done, start = -1, 0.0
    while done < images:
        for batch, _ in loader:
            if done < 0:
                done, start = 0, time.monotonic()
            else:
                done += len(batch)
            if done >= images:
                break
    print(json.dumps({"images_per_second": done / (time.monotonic() - start)}))


if __name__ == "__main__":
    main()
