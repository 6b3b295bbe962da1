/// @file
/// One job run on ranks that are threads of the test's process, for the tests of workloads.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/pool.hpp"
#include "cleave/workload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cleave::testing {

/// How a job is split.
struct Split {
  int ranks = 1;
  int threads = 1;
  std::string schedule = "block";
};

/// What the root has after one repetition.
struct Answer {
  Verdict verdict;
  std::vector<std::byte> bytes;
  Summary summary;
  std::vector<std::string> details;
  std::int64_t tasks = 0;
  std::int64_t leaves = 0;
  double work = 0;
};

/// Parameters as texts.
using Given = std::map<std::string, std::string>;

/// The workload's validated parameters. @throws Error bad_input
inline Values values_of(const Workload& workload, const Given& parameters) {
  std::map<std::string, Values::Given> given;
  for (const auto& [key, text] : parameters)
    given[key] = {.text = text, .place = {.file = {}, .line = 0, .key = key}, .base = {}};
  return {workload.parameters, given};
}

inline std::vector<std::byte> bytes_of(const Job& job) {
  return {job.result().begin(), job.result().end()};
}

/// prepare(), on any rank, refuses the parameter `key` with this message.
inline void expect_refusal(const std::function<void()>& prepare, const std::string& key,
                           const std::string& message) {
  try {
    prepare();
    ADD_FAILURE() << key << ": accepted, not refused with '" << message << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(error.place().key, key);
    EXPECT_THAT(error.what(), ::testing::HasSubstr(message));
  }
}

/// Prepares and runs one repetition of the workload.
inline Answer run_job(const Workload& workload, const Given& parameters, const Split& split = {}) {
  const Values values = values_of(workload, parameters);
  if (workload.before_mpi) // as in a run: what it forks is forked of a process without threads
    workload.before_mpi();
  Answer answer;
  Comm::in_process(split.ranks, [&](Comm& comm) {
    PoolOptions options;
    options.threads = split.threads;
    options.schedule = Schedule::parse(split.schedule);
    Pool pool(comm, options);
    const auto job = workload.prepare(values, pool);
    job->run(pool);
    if (!comm.is_root())
      return;
    answer.verdict = job->check();
    answer.bytes = bytes_of(*job);
    answer.summary = job->summary();
    answer.details = job->details();
    answer.tasks = job->tasks();
    answer.leaves = job->leaves();
    answer.work = job->work();
  });
  return answer;
}

/// The splits that answers must not depend on.
inline std::vector<Split> splits() {
  return {{1, 1, "block"}, {2, 1, "cyclic"}, {3, 2, "block"}, {4, 3, "cyclic,3"}, {1, 3, "cyclic"}};
}

} // namespace cleave::testing
