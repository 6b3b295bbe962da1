#include "cleave/launch_batch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cleave {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

BatchRun hybrid() {
  BatchRun run;
  run.request.name = "ep";
  run.request.nodes = 2;
  run.request.tasks_per_node = 4;
  run.request.cpus_per_task = 3;
  run.folder = "/home/me/my jobs";
  run.program = "/opt/cleave";
  run.jobs = {"ep.toml"};
  return run;
}

TEST(BatchHead, AsksForWhatIsGivenAndNothingElse) {
  BatchRequest request;
  request.name = "a b";
  request.nodes = 3;
  EXPECT_EQ(batch_head(request, {"a note"}, "/x"), "#!/usr/bin/env bash\n"
                                                   "# a note\n"
                                                   "#SBATCH --job-name='a b'\n"
                                                   "#SBATCH --nodes=3\n"
                                                   "#SBATCH --ntasks-per-node=1\n"
                                                   "#SBATCH --open-mode=append\n"
                                                   "set -euo pipefail\n"
                                                   "cd /x\n");
  request.time = "1:00:00";
  request.memory = "4G";
  request.partition = "p";
  request.account = "q";
  request.array = "0-3%2";
  request.output = "x-%j.log";
  request.signal = "B:USR1@60";
  request.exclusive = request.requeue = true;
  request.options = {"--constraint=zen4"};
  const std::string text = batch_head(request, {}, "/x");
  for (const char* line :
       {"--time=1:00:00", "--mem=4G", "--partition=p", "--account=q", "--array=0-3%2",
        "--output=x-%j.log", "--signal=B:USR1@60", "--exclusive", "--requeue", "--constraint=zen4"})
    EXPECT_THAT(text, HasSubstr("#SBATCH " + std::string(line) + "\n"));
}

TEST(BatchScript, TellsSrunTheCpusOfATaskAgainAndBinds) {
  const std::string text = batch_script(hybrid());
  EXPECT_THAT(text,
              AllOf(HasSubstr("#SBATCH --cpus-per-task=3\n"), HasSubstr("cd '/home/me/my jobs'"),
                    HasSubstr("srun --mpi=pmix -N 2 -n 8 --ntasks-per-node=4 -c 3 "
                              "--cpu-bind=cores"),
                    HasSubstr("/opt/cleave run ep.toml --threads 3\n")));
  EXPECT_THAT(text, HasSubstr("export SLURM_PMIX_FENCE=ring"));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("requeue")), Not(HasSubstr("checkpoint")),
                          Not(HasSubstr("AS_ROOT"))));
}

TEST(BatchScript, GivesMpirunAMapOfTheNode) {
  BatchRun run = hybrid();
  run.by_mpirun = run.as_root = true;
  run.settings = {"-p", "word=a b"};
  EXPECT_THAT(batch_script(run),
              AllOf(HasSubstr("mpirun -q -n 8 --map-by ppr:4:node:PE=3 --bind-to core"),
                    HasSubstr("--threads 3 -p 'word=a b'"), Not(HasSubstr("srun --")),
                    HasSubstr("export OMPI_ALLOW_RUN_AS_ROOT=1")));
}

TEST(BatchScript, StartsAgainWithWhatItHasKept) {
  BatchRun run = hybrid();
  run.request.requeue = true;
  run.resume = BatchResume::checkpoint;
  run.state = "results/ep";
  EXPECT_THAT(batch_script(run),
              AllOf(HasSubstr("state=${CLEAVE_STATE:-results/ep-j$SLURM_JOB_ID.checkpoint}\n"),
                    HasSubstr("--checkpoint \"$state\" --resume\n"), HasSubstr("status == 75"),
                    HasSubstr("scontrol requeue \"$SLURM_JOB_ID\"")));
  run.resume = BatchResume::job_log;
  EXPECT_THAT(batch_script(run), AllOf(HasSubstr(".joblog}\n"), Not(HasSubstr("--resume")),
                                       HasSubstr("-p joblog=\"$state\" -p resume=true\n")));
}

TEST(BatchScript, NoTwoAttemptsHaveStepsOfOneNumber) {
  for (const bool by_mpirun : {false, true}) {
    BatchRun run = hybrid();
    run.by_mpirun = by_mpirun;
    EXPECT_THAT(batch_script(run), Not(HasSubstr("srun --mpi=none")));
    run.request.requeue = true;
    EXPECT_THAT(batch_script(run), HasSubstr("step < ${SLURM_RESTART_COUNT:-0}; step++)); do\n"
                                             "  srun --mpi=none -N 1 -n 1 true || true\n"));
  }
}

TEST(BatchScript, ATaskOfAnArrayHasItsJobAndItsState) {
  BatchRun run = hybrid();
  run.jobs = {"a.toml", "b c.toml"};
  run.request.requeue = true;
  run.resume = BatchResume::checkpoint;
  run.state = "results/ep";
  EXPECT_THAT(
      batch_script(run),
      AllOf(HasSubstr("jobs=(a.toml 'b c.toml')\njob=${jobs[SLURM_ARRAY_TASK_ID]}\n"),
            HasSubstr(" run \"$job\" "),
            HasSubstr("state=results/ep-j${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID.checkpoint\n"),
            HasSubstr("requeue \"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\"")));
}

TEST(Sbatch, IsToldOfTheJobBefore) {
  EXPECT_EQ(sbatch_words("a.sh"), (std::vector<std::string>{"sbatch", "--parsable", "a.sh"}));
  EXPECT_EQ(sbatch_words("a.sh", "17")[2], "--dependency=afterany:17");
}

} // namespace
} // namespace cleave
