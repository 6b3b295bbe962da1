"""What `cleave layout` finds wrong in a job, and whether its mend is right."""

import re

from helpers import CLEAVE, Case


class Doctor(Case):
    """A layout that is not what the job has, and the launcher that the doctor names."""

    def test_the_doctor_knows_the_job(self):
        text = self.login("srun", "--mpi=pmix", "--nodes=2", "--ntasks=4", CLEAVE, "layout")
        self.assertRegex(text, r"(?m)^layout +2 nodes x 2 ranks x 1 thread")
        self.assertRegex(text, r"(?m)^slurm +job \d+: .*4 tasks")
        self.assertNotIn("warning", text)

    def doctor(self, head, launcher):
        """What `cleave layout` says under the launcher in a batch job of its own."""
        script = self.write("doctor.sh", f"#!/bin/bash\n#SBATCH {head}\n{launcher} {CLEAVE} layout\n")
        job = self.succeeds(script)
        return (self.folder / f"log-{job}").read_text()

    def launchers(self, said):
        """Those of the mend of what the doctor has said first."""
        mend = re.search(r"(?m)^warning .*\n +mend: (.*)$", said)
        self.assertIsNotNone(mend, said)
        return re.findall(r"((?:mpirun|srun) [^,]*?) PROGRAM", mend[1])

    def test_the_doctor_knows_heterogeneous_jobs(self):
        head = "--nodes=1 --ntasks=2\n#SBATCH hetjob\n#SBATCH --nodes=2 --ntasks-per-node=1"
        for launcher, wrong in (("mpirun -q", ", and mpirun uses the first alone"),
                                ("srun --mpi=pmix", " with 4 CPUs, of which srun has 2")):
            said = self.doctor(head, launcher)
            self.assertRegex(said, r"(?m)^layout +1 node x 2 ranks x 1 thread")
            self.assertIn("this is a heterogeneous job of 2 components" + wrong, said)
            self.assertEqual(len(self.launchers(said)), 1)
            mended = self.doctor(head, *self.launchers(said))
            self.assertRegex(mended, r"(?m)^layout +3 nodes, 4 ranks, 4 threads(?s:.*)nothing odd")

    def test_the_doctor_knows_mpirun_within_srun(self):
        """In a step of one node. mpirun in one of several waits for ever, and no rank begins."""
        head = "--nodes=2 --ntasks-per-node=2"
        for tasks, wrong in ((1, "mpirun is in a step of srun, and has no more than that: 1 worker for the 4 CPUs"),
                             (2, "srun has started mpirun itself 2 times")):
            said = self.doctor(head, f"srun -N1 -n{tasks} mpirun -q")
            self.assertEqual(len(re.findall(rf"(?m)^layout +1 node x {tasks} rank", said)), tasks, said)
            self.assertEqual(said.count(wrong), tasks, said)
            self.assertEqual(said.count("mend:"), tasks, said)
            self.assertEqual(len(self.launchers(said)), 2, said)
            for launcher in self.launchers(said):
                mended = self.doctor(head, launcher)
                self.assertRegex(mended, r"(?m)^layout +2 nodes x 2 ranks x 1 thread(?s:.*)nothing odd")

    def test_the_doctor_knows_the_shell_of_salloc(self):
        """It is a step of srun at many sites (LaunchParameters=use_interactive_step), with all of the job."""
        head = "--nodes=2 --ntasks-per-node=2"
        shell = "srun --interactive --preserve-env -n1" # as salloc begins it
        said = self.doctor(head, f"{shell} mpirun -q -n 1")
        self.assertIn("4 CPUs on 2 nodes for 4 tasks, but 1 worker on 1 node computes", said)
        mended = self.doctor(head, f"{shell} {self.launchers(said)[0]}")
        self.assertRegex(mended, r"(?m)^layout +2 nodes x 2 ranks x 1 thread(?s:.*)nothing odd")
