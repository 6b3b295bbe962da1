// Workloads that are stopped again and again, and gone on with at other layouts.
#include "cleave/checkpoint.hpp"
#include "job_run.hpp"
#include "jobs/registry.hpp"
#include "store_fixture.hpp"

#include <chrono>

namespace cleave {
namespace {

using namespace std::chrono_literals;
using testing::Given;
using testing::Split;

struct Case {
  std::string workload;
  Given parameters;
};

std::vector<Case> cases() {
  const std::string digits = CLEAVE_SOURCE_DIR "/data/digits.csv.gz";
  return {{"squares", {{"n", "2e7"}}},
          {"sum_squares", {{"n", "1e10"}}},
          {"ep", {{"class", "A"}}},
          {"kmeans", {{"input", "random.csv"}, {"k", "200"}, {"max_iterations", "150"}}},
          {"logreg", {{"input", digits}, {"epochs", "2500"}}},
          {"mandelbrot", {{"columns", "1000"}, {"rows", "1000"}, {"limit", "20000"}}},
          {"primes", {{"a", "1"}, {"b", "5e9"}}},
          {"denoise",
           {{"input", CLEAVE_SOURCE_DIR "/data/astronaut.png"},
            {"output", ""},
            {"add_noise", "0.1"},
            {"r", "12"}}}};
}

class Resumed : public testing::StoreTest, public ::testing::WithParamInterface<Case> {};

/// 60,000 rows of 16 numbers. @return its name
std::string random_table(const std::filesystem::path& file) {
  std::ofstream table(file);
  RandomStream random(1, 0, 0);
  for (int row = 0; row < 60'000; ++row)
    for (int column = 0; column < 16; ++column)
      table << random.uniform() << (column == 15 ? '\n' : ',');
  return file;
}

/// One launch, stopped after `limit`; the answer at root, empty when it was stopped.
std::vector<std::byte> launch(const Workload& workload, const Given& parameters, const Split& split,
                              const std::filesystem::path& folder,
                              std::chrono::steady_clock::duration limit) {
  const Values values = testing::values_of(workload, parameters);
  std::vector<std::byte> answer;
  Comm::in_process(split.ranks, [&](Comm& comm) {
    PoolOptions pool_options;
    pool_options.threads = split.threads;
    pool_options.schedule = Schedule::parse(split.schedule);
    Pool pool(comm, pool_options);
    const auto job = workload.prepare(values, pool);
    CheckpointOptions options;
    options.folder = folder;
    options.resume = true;
    options.stop = [until = std::chrono::steady_clock::now() + limit] {
      return std::chrono::steady_clock::now() > until;
    };
    Checkpoint checkpoint(comm, options);
    checkpoint.begin();
    pool.keep_in(&checkpoint);
    try {
      pool.measure([&] { job->run(pool); });
      if (comm.is_root()) {
        answer = testing::bytes_of(*job);
        EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
      }
    } catch (const MapError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("asked to stop"));
    }
    checkpoint.end();
  });
  return answer;
}

TEST_P(Resumed, GivesTheSameBytes) {
  auto [name, parameters] = GetParam();
  if (name == "kmeans")
    parameters["input"] = random_table(in_folder("random.csv"));
  Workload workload;
  for (const Workload& one : all_workloads())
    if (one.name == name)
      workload = one;
  const auto begin = std::chrono::steady_clock::now();
  const auto whole = testing::run_job(workload, parameters, {1, 2, "auto"});
  const auto whole_time = std::chrono::steady_clock::now() - begin;
  const std::vector<Split> splits = testing::splits();
  std::vector<std::byte> answer;
  std::size_t launches = 0;
  for (; launches < 60 && answer.empty(); ++launches)
    answer = launch(workload, parameters, splits[launches % splits.size()], in_folder("kept"),
                    launches * whole_time / 4);
  EXPECT_EQ(answer, whole.bytes);
  EXPECT_GT(launches, 1U) << "nobody stopped it";
}

INSTANTIATE_TEST_SUITE_P(Workloads, Resumed, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.workload; });

} // namespace
} // namespace cleave
