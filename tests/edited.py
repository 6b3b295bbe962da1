"""Timings files that a test alters: as version 1.0 had them, without sums that would tell."""

import numpy as np


def without_sums(file):
    """Makes `file`, open in h5py, one that nothing can be checked against."""
    del file.attrs["info_xxh3"]
    file.attrs["format_version"] = np.bytes_("1.0")
