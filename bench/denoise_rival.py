#!/usr/bin/env python3
"""Non-local means on one core: Cleave beside scikit-image's fast_mode.

usage: bench/denoise_rival.py [BUILD] [--turns N]      (build/release, 7)

Both filter the 512 x 512 colour photograph of data/ with the same noise, patches of 5 x 5 and windows
of 13 x 13 pixels, in turns; start-up and files count for neither. Their answers differ where one
reflects the border and by rounding: each tells its peak signal-to-noise ratio against the clean
photograph. Without scikit-image (python3-skimage, seen by /usr/bin/python3) that is said, and nothing
is measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
              "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
PHOTOGRAPH = Path(__file__).resolve().parent.parent / "data" / "astronaut.png"
SIGMA, H = 0.08, 0.064


def cleave(build, folder, noisy):
    """@return seconds and the answer's file"""
    answer = os.path.join(folder, "answer.png")
    run = subprocess.run(
        [os.path.join(build, "cleave"), "run", "denoise", "-p", f"input={noisy}", "-p", f"output={answer}",
         "-p", f"sigma={SIGMA}", "-p", f"h={H}", "-p", "f=2", "-p", "r=6", "--threads", "1",
         "--repetitions", "3", "--force", "--json", "-o", os.path.join(folder, "t.h5")],
        env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout)["median_s"], answer


def skimage(image):
    """@return seconds and the answer"""
    from skimage.restoration import denoise_nl_means
    start = time.perf_counter()
    answer = denoise_nl_means(image, patch_size=5, patch_distance=6, h=H, sigma=SIGMA, fast_mode=True,
                              channel_axis=2)
    return time.perf_counter() - start, answer


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    try:
        import numpy
        import skimage as rival
        from PIL import Image
    except ImportError as missing:
        print(f"not measured: {missing}; install python3-skimage and python3-pil")
        return 0
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f};"
          f" scikit-image {rival.__version__}, numpy {numpy.__version__}")
    print("command:", *sys.argv)
    clean = numpy.asarray(Image.open(PHOTOGRAPH).convert("RGB")) / 255
    noise = numpy.random.default_rng(1).normal(scale=SIGMA, size=clean.shape)
    bytes_of_noisy = (numpy.clip(clean + noise, 0, 1) * 255 + 0.5).astype(numpy.uint8)

    def psnr(answer):
        return -10 * numpy.log10(numpy.mean((answer - clean) ** 2))

    times = {"Cleave": [], "scikit-image": []}
    with tempfile.TemporaryDirectory() as folder:
        noisy = os.path.join(folder, "noisy.png")
        Image.fromarray(bytes_of_noisy).save(noisy)
        for _ in range(options.turns):
            seconds, file = cleave(options.build, folder, noisy)
            times["Cleave"].append(seconds)
            seconds, theirs = skimage(bytes_of_noisy / 255)
            times["scikit-image"].append(seconds)
        ours = numpy.asarray(Image.open(file)) / 255
    for (side, seconds), answer in zip(times.items(), (ours, theirs)):
        print(f"{side:14} {1e3 * statistics.median(seconds):8.1f} ms, {psnr(answer):.2f} dB"
              f" ({psnr(bytes_of_noisy / 255):.2f} dB before)")
    ratios = [b / a for a, b in zip(times["Cleave"], times["scikit-image"])]
    print(f"scikit-image / Cleave {statistics.median(ratios):.2f}"
          f" [{min(ratios):.2f} to {max(ratios):.2f}], wanted: >= 3")
    return 0


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    sys.exit(main())
