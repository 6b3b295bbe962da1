"""Every script of slurm/, on as many nodes as it asks for."""

import re

import h5py
from helpers import CLEAVE, Case, SOURCE, SUMS


class Shapes(Case):
    """Every script, with its own layout, on as many nodes as it asks for."""

    # nodes, ranks, threads a rank, CPUs of the ranks of a node
    LAYOUTS = {"one-node": ((1, 2, 1), ["0", "1"]), "multiprocessor": ((2, 4, 1), ["0", "1"]),
               "multicore": ((2, 2, 2), ["0-1"]), "hybrid": ((2, 4, 1), ["0", "1"]),
               "requeue": ((2, 4, 1), ["0", "1"])}
    OTHERS = {"array", "farm", "study"} # have tests of their own

    def test_every_script_is_tried(self):
        scripts = {script.stem for script in (SOURCE / "slurm").glob("*.sh")}
        self.assertEqual(scripts, set(self.LAYOUTS) | self.OTHERS | {"launch"})

    def test_layouts(self):
        self.write("sums.toml", SUMS.format(n="[1e6, 3e6]"))
        checksums = set()
        for script, (layout, cpus) in self.LAYOUTS.items():
            for launcher in ("srun", "mpirun"):
                with self.subTest(script=script, launcher=launcher):
                    job = self.succeeds(f"slurm/{script}.sh", "sums.toml", LAUNCHER=launcher)
                    found = self.timings(f"sums-j{job}")
                    self.assertEqual((found["layout"], found["verified"]), (layout, True))
                    self.assertEqual(found["cpus"], cpus * layout[0])
                    checksums |= found["checksums"]
        self.assertEqual(len(checksums), 1)

    def test_options_of_sbatch_and_of_cleave_run(self):
        self.write("sums.toml", SUMS.format(n="1e6"))
        job = self.succeeds("--nodes=3", "slurm/multiprocessor.sh", "sums.toml", "-p", "n=2e6")
        self.assertEqual(self.timings(f"sums-j{job}")["layout"], (3, 6, 1))
        self.assertIn("n=2000000", self.printed())

    def test_what_is_wrong_ends_with_its_own_status(self):
        for launcher in ("srun", "mpirun"):
            job = self.submit("slurm/one-node.sh", "none.toml", LAUNCHER=launcher)
            self.assertEqual(self.ended(job), ["FAILED 2:0"])
        self.assertEqual(self.ended(self.submit("slurm/one-node.sh")), ["FAILED 1:0"])
        self.assertIn("give a job file", self.printed())

    def test_an_array_of_eight(self):
        files = [self.write(f"sum{i}.toml", SUMS.format(n=f"{i + 1}e6")) for i in range(8)]
        job = self.succeeds("--array=0-7%4", "slurm/array.sh", *files)
        found = [self.timings(f"sum{i}-j{job}_{i}") for i in range(8)]
        self.assertTrue(all(each["verified"] for each in found))
        self.assertEqual(len(set.union(*(each["checksums"] for each in found))), 8)

    def test_a_farm(self):
        self.write("farm.toml", 'workload = "command"\n[parameters]\ntemplate = "hostname"\nover = "i=1..12"\n')
        job = self.succeeds("slurm/farm.sh", "farm.toml")
        self.assertEqual(self.timings(f"farm-j{job}")["layout"], (2, 2, 2))
        lines = (self.folder / f"results/farm-j{job}.joblog").read_text().splitlines()
        self.assertEqual(len(lines), 13)
        self.assertEqual(len({line.split("\t")[1] for line in lines[1:]}), 2, "two nodes")

    def test_studies(self):
        self.write("sums.toml", SUMS.format(n="1e6"))
        for mode, n, ranks, nodes, launcher in (("strong", "1e6", 4, 2, "srun"), ("weak", "4e6", 4, 2, "srun"),
                                                ("weak", "2e6", 2, 1, "mpirun")):
            job = self.succeeds(f"--nodes={nodes}", "slurm/study.sh", mode, "sums.toml", "--only", f"ranks={ranks}",
                                LAUNCHER=launcher)
            points = list((self.folder / f"results/sums-{mode}-j{job}/points").glob("*.h5"))
            self.assertGreater(len(points), 1)
            with h5py.File(points[0], "r") as file:
                self.assertEqual(file["run"].attrs["work_items"], float(n))

    def test_a_study_submits_a_job_for_each_number_of_nodes(self):
        self.write("sums.toml", SUMS.format(n="1e6"))
        self.write("tiny.toml", 'job = "sums.toml"\nmode = "strong"\nranks = [2, 4]\n[measure]\n'
                                'repetitions = 2\n[slurm]\ncores_per_node = 2\ntime = "5"\n')
        study = [CLEAVE, "study", "tiny.toml", "-o", "tiny", "--launcher", "slurm"]
        said = self.login(*study)
        jobs = re.findall(r"^job +(\d+)", said, re.M)
        self.assertEqual(len(jobs), 2, said)
        self.assertIn(f"queued as job {jobs[1]}", self.login(*study, "--resume"))
        for job in jobs:
            self.assertEqual(self.ended(job), ["COMPLETED 0:0"], (self.folder / "tiny/slurm/nodes-1.log"))
        self.assertEqual(self.login(*study, "--resume").count("all points are done"), 2)

    def test_the_program_submits_scripts_of_its_own(self):
        self.write("sums.toml", SUMS.format(n="1e6"))
        for launcher in ("srun", "mpirun"):
            job = self.login(CLEAVE, "slurm", "sums.toml", "--nodes", 2, "--ranks-per-node", 1, "--threads", 2,
                             "--launcher", launcher, "--requeue", "--submit", "--force").strip()
            self.assertEqual(self.ended(job), ["COMPLETED 0:0"], f"log of job {job}")
            files = list((self.folder / "results").glob(f"*j{job}*.h5"))
            self.assertEqual(len(files), 1, launcher)
            found = self.timings(files[0].stem)
            self.assertEqual((found["layout"], found["verified"]), ((2, 2, 2), True))

    def test_plain_srun_is_refused(self):
        run = self.on(1, "srun", "-n2", CLEAVE, "run", "squares", check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("srun --mpi=pmix", run.stderr)
        self.assertFalse((self.folder / "results").exists())
