#!/usr/bin/env python3
"""The speed of Pool and Executor in one table: what was measured, what is wanted, and by what mechanism.

usage: bench/speed.py [BUILD] [--ranks N] [--turns N]                (build/release, as many as cores, 7)

Runs the programs schedules, executor_round_trip and nodes, one after another, each of which times its own sides in
turns, and rivals.py with so many turns: about half an hour. The table is Markdown. Status 1 when a program failed.
"""

import argparse
import os
import re
import subprocess
import sys

import rivals

# What each command's lines, found by the beginnings of their names, rest on. Lines of a section, such as a load of
# unequal tasks, bear its name before their own.
STEAL = "a counter in the node's memory for each worker, who helps the others when its own is used up"
AUTO = "half of what is left over the workers, at most 50 us of work"
GRANT = "super-chunks granted just in time, by a thread of root's that naps for up to 2 ms"
COMMANDS = [
    (["schedules"], {
        "null task, dynamic ": STEAL + "; one fetch_add a chunk, results in place",
        "null task, auto": AUTO,
        "METG(95 %), dynamic": STEAL,
        "METG(95 %), auto": AUTO,
        "constant: auto / the best": AUTO,
        "linear: auto / the best": AUTO,
        "quadratic: auto / the best": AUTO,
        "random exponential: auto / the best": AUTO,
        "growing exponential: auto / the best": AUTO,
        "mandelbrot: auto / the best": AUTO,
        "giant at the end: auto / the best": "long chunks are remembered, and drawn first",
        "the last rank slowed 3 times: block": "as many tasks for each",
        "the last rank slowed 3 times: adaptive": "weights renewed from measured chunk times",
        "the last rank slowed 3 times: auto": AUTO,
    }),
    *((["schedules", "--repetitions", "41", "--mean", mean, "--auto-alone", "1"], {
        "constant: auto / clairvoyant": AUTO,
        "linear: auto / clairvoyant": AUTO,
        "quadratic: auto / clairvoyant": AUTO,
        "random exponential: auto / clairvoyant": AUTO,
        "growing exponential: auto / clairvoyant": AUTO,
        "mandelbrot: auto / clairvoyant": AUTO,
        "giant at the end: auto / clairvoyant": "long chunks are remembered, and drawn first",
        "giant at the end: auto with a hint": "longest first, chunks of equal cost",
        "giant at the end: auto, a first call": AUTO,
    }) for mean in ["100", "2"]),
    (["schedules", "--mean", "2"], {
        f"{load}: auto / the best": AUTO
        for load in ["constant", "linear", "quadratic", "random exponential", "growing exponential", "mandelbrot"]
    } | {"giant at the end: auto / the best": "long chunks are remembered, and drawn first"}),
    (["executor_round_trip"], {
        "bare MPI message and answer, awake": "MPI_Send, MPI_Recv",
        "round trip, awake": "rings in the node's memory, no MPI; own archive",
        "bare futex, rank 1 asleep": "FUTEX_WAKE of a process whose core sleeps",
        "round trip, asleep": "futex, by naps of 1 ms at first so that its core does not sleep deep; woken before the task is packed; where both share a core, who waits yields it",
        "bare futex, root asleep": "FUTEX_WAKE of a process whose core sleeps",
        "added to tasks of 10 ms": "futex; who has woken root stays awake until it asks again",
        "waiting for tasks of 10 ms": "50 us awake, then futex",
        "busy while root sleeps": "a service thread dispatches; one task waits beside the one that runs",
        "root sleeps 2 s": "naps that grow with the wait",
        "all wait 2 s": "naps that grow with the wait",
    }),
    (["executor_round_trip", "--ranks-per-node", "1"], {
        "bare MPI message and answer, awake": "MPI_Send, MPI_Recv over TCP",
        "round trip, awake": "the thread that waits carries messages itself",
        "a submit": "looks for what has come in half of its time at most",
        "root sleeps 2 s": "naps that grow with the wait",
        "all wait 2 s": "naps that grow with the wait",
    }),
    (["nodes", "--ranks-per-node", "1"], {
        f"tasks of {us} us: {schedule}, ": GRANT
        for us in [1000, 100] for schedule in ["auto", "dynamic"]
    } | {
        f"tasks of 1000 us, results of 64 KiB: {schedule}, ": "results come back as super-chunks are done"
        for schedule in ["auto", "dynamic"]
    }),
]
RIVALS = {
    "Cleave Pool::map, dynamic": STEAL,
    "Cleave Pool::map, auto": AUTO,
    "Cleave Executor": "rings in the node's memory; root dispatches",
    "OpenMP dynamic": "one counter for all threads",
    "OpenMP guided": "one counter for all threads, chunks that shrink",
    "oneTBB": "ranges halved, and stolen",
    "multiprocessing": "two pipes under locks, pickle",
    "concurrent.futures": "a thread of the parent, two pipes under locks, pickle",
    "mpi4py.futures": "a master that hands out by messages, pickle",
}
LINE = re.compile(r"( *)(.+?)  +(\S+)  \[(.*?)\]  (.*)")


def run(build, command, ranks):
    """The lines of one program: name, median, interval, and what stands after it."""
    nodes = "--ranks-per-node" in command  # pretended ones
    how = ["--mca", "btl", "tcp,self", "-n", "2"] if nodes else ["-n", str(ranks)]
    line = ["mpirun", "-q", *how, os.path.join(build, "bench", command[0]), *command[1:]]
    print(*line, file=sys.stderr)
    text = subprocess.run(line, env=rivals.ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True).stdout
    section = ""
    for line in text.splitlines():
        if found := LINE.fullmatch(line):
            indented, name, median, interval, rest = found.groups()
            yield (section + ": " if indented else "") + name, median, interval, rest
        else:
            section = re.sub(", [0-9]+ tasks$", "", line)


def row(*cells):
    print("|", " | ".join(cells), "|", flush=True)


def print_program(build, command, mechanisms, ranks):
    """Its chosen lines; a beginning that ends in a space is a whole name."""
    row("**" + " ".join(command) + "**", "", "", "")
    seen = set()
    for name, median, interval, rest in run(build, command, ranks):
        for beginning, mechanism in mechanisms.items():
            if not (name + " ").startswith(beginning):
                continue
            seen.add(beginning)
            unit, _, wanted = rest.partition("wanted: ")
            interval = "" if interval == "no interval" else f" [{interval}]"
            row(name, f"{median}{interval} {unit.rstrip(', ')}".strip(), wanted, mechanism)
    if missing := mechanisms.keys() - seen:
        sys.exit(f"{command[0]} does not tell of {', '.join(missing)} any longer")


def print_rivals(build, ranks, turns):
    row(f"**rivals.py --turns {turns}: us a null task; efficiency at 10 us; 100 us; 1 ms**", "", "", "")
    for name, cells in rivals.take_turns(build, ranks, turns).items():
        mechanism = next((text for beginning, text in RIVALS.items() if name.startswith(beginning)), "")
        figures = cells if isinstance(cells, str) else "; ".join(rivals.figure(cells[key]) for key in rivals.COLUMNS)
        row(name, figures, "", mechanism)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--ranks", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    rivals.print_heading(f"ranks: {options.ranks}; medians, 95 % intervals in brackets")
    row("what", "measured", "wanted", "mechanism")
    print("|---|---|---|---|")
    for command, mechanisms in COMMANDS:
        print_program(options.build, command, mechanisms, options.ranks)
    print_rivals(options.build, options.ranks, options.turns)


if __name__ == "__main__":
    main()
