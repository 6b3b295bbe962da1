"""store_kill_test.py PROBE: kills a writer of a timings file with -9 at random instants.

After each kill the file, if it has its final name, opens in h5py and by read_timings, holds every row
that the writer had acknowledged, and no row that is half there. 15 kills; 60 with CLEAVE_SOAK=1.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import h5py

ROWS = 4000
MODES = ["plain", "force", "schedules"]


class Writer:
    """One process that creates a file and commits ROWS rows, and what it said of it."""

    def __init__(self, probe, file, mode):
        self.said = b""
        self.began = time.monotonic()
        command = [probe, "write", file, str(ROWS), mode]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def listen_until(self, words):
        """Reads on until the writer has said `words`; seconds since its start."""
        while words not in self.said:
            heard = os.read(self.process.stdout.fileno(), 65536)
            assert heard, f"the writer ended before it said {words}: {self.said[-100:]}"
            self.said += heard
        return time.monotonic() - self.began

    def kill(self):
        """Ends the writer and reads what it had said; the number of rows it acknowledged."""
        self.process.send_signal(signal.SIGKILL)
        self.said += self.process.stdout.read()
        self.process.wait()
        return self.said.count(b"committed")


def check(probe, file, acknowledged):
    """Whether the file is as good as the writer said."""
    with h5py.File(file, "r") as opened:
        states = opened["run/rep_state"][:]
        walls = opened["run/wall"][:]
        schedules = opened["run/schedule_used"].asstr()[:]
    done = int((states == 1).sum())
    assert set(states) <= {0, 1} and (states[:done] == 1).all(), "states are not a prefix"
    assert acknowledged <= done <= acknowledged + 1, f"{done} rows, {acknowledged} acknowledged"
    assert all(walls[:done] == [1000 * row + 10 for row in range(done)]), "a wall is wrong"
    assert all(schedules[:done] != ""), "a schedule is missing"
    subprocess.run([probe, "check", file, str(acknowledged)], check=True, stdout=subprocess.DEVNULL)


def check_locked(probe, folder):
    """A file that is being written is refused to readers, by name."""
    file = Path(folder, "locked.h5")
    writer = Writer(probe, file, "plain")
    writer.listen_until(b"committed")
    writer.process.send_signal(signal.SIGSTOP)
    answer = subprocess.run([probe, "check", file, "0"], stderr=subprocess.PIPE, check=False)
    writer.kill()
    assert b"locked.h5: is being written" in answer.stderr, answer.stderr
    file.unlink()


def kill_once(probe, folder, mode, instant, times):
    """One writer, killed at an instant: "before", "between" or "any"; where the kill landed."""
    file = Path(folder, f"{mode}.h5")
    old = b"an older file"
    if mode == "force":
        file.write_bytes(old)
    writer = Writer(probe, file, mode)
    first, last = times[mode]
    if instant == "between":  # counted from the first commit: start-up varies with the load
        writer.listen_until(b"committed 0\n")
        time.sleep(random.uniform(0, 0.5 * (last - first)))
    else:
        time.sleep(random.uniform(0, first if instant == "before" else 1.2 * last))
    acknowledged = writer.kill()
    if file.exists() and file.read_bytes() != old:
        check(probe, file, acknowledged)
    else:
        assert acknowledged == 0, "acknowledged rows are lost"
    for left in Path(folder).iterdir():
        left.unlink()
    return "before" if acknowledged == 0 else "after" if acknowledged == ROWS else "between"


def measure(probe, folder, mode):
    """Seconds from a writer's start to its first and to its last commit."""
    file = Path(folder, f"{mode}.h5")
    writer = Writer(probe, file, mode)
    first = writer.listen_until(b"committed 0\n")
    last = writer.listen_until(f"committed {ROWS - 1}\n".encode())
    writer.kill()
    check(probe, file, ROWS)
    file.unlink()
    return first, last


def main(probe):
    """Kills, counts and prints."""
    seed = int(os.environ.get("CLEAVE_KILL_SEED", time.time_ns()))
    random.seed(seed)
    kills = 60 if os.environ.get("CLEAVE_SOAK") == "1" else 15
    landed = Counter()
    with tempfile.TemporaryDirectory() as folder:
        check_locked(probe, folder)
        times = {mode: measure(probe, folder, mode) for mode in MODES}
        for kill in range(kills):
            mode = MODES[kill % len(MODES)]
            instant = ["between", "between", "between", "before", "any"][kill // len(MODES) % 5]
            try:
                landed[kill_once(probe, folder, mode, instant, times)] += 1
            except Exception:
                print(f"kill {kill}, mode {mode}; again by CLEAVE_KILL_SEED={seed}", flush=True)
                raise
    print("seconds to the first and the last commit:", times)
    print(f"{kills} kills: {landed['before']} before the first commit, {landed['between']} between,",
          f"{landed['after']} after the last")
    assert 2 * landed["between"] >= kills, "too few kills landed between the commits"


if __name__ == "__main__":
    main(sys.argv[1])
