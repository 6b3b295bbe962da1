/// @file
/// Runs every workload at every threads x schedule x data path that this launch allows and prints a
/// line for each: "WORKLOAD CHECKSUM SPLIT". tests/same_bytes_test.py compares launches.
#include "cleave/pool.hpp"
#include "cleave/workload.hpp"
#include "jobs/registry.hpp"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace {

using cleave::DataPath;

/// Small parameters, for seconds in all.
const std::map<std::string, std::map<std::string, std::string>>& parameters() {
  static const std::map<std::string, std::map<std::string, std::string>> all{
      {"command", {{"template", "sh -c 'exit {code}'"}, {"over", "code=0..5"}}},
      {"logreg",
       {{"input", CLEAVE_SOURCE_DIR "/data/digits.csv.gz"},
        {"epochs", "3"},
        {"batches", "2"},
        {"folds", "2"},
        {"l2", "0,0.01"}}},
      {"squares", {{"n", "1001"}}},
      {"sum_squares", {{"n", "0,1,1e6,3e6"}}},
      {"ep", {{"class", "S"}}},
      {"kmeans",
       {{"input", CLEAVE_SOURCE_DIR "/data/digits.csv.gz"},
        {"drop_columns", "64"},
        {"k", "10"},
        {"init", "kmeans++"},
        {"max_iterations", "8"}}},
      {"mandelbrot", {{"columns", "200"}, {"rows", "123"}, {"limit", "200"}}},
      {"primes", {{"a", "1e6"}, {"b", "1e7"}}},
      {"denoise",
       {{"input", CLEAVE_SOURCE_DIR "/tests/data/crop.png"},
        {"output", ""},
        {"add_noise", "0.1"}}}};
  return all;
}

void run(const cleave::Comm& comm, const std::string& paths, const cleave::Workload& workload,
         int threads, const std::string& schedule, DataPath path) {
  std::map<std::string, cleave::Values::Given> given;
  for (const auto& [name, text] : parameters().at(workload.name))
    given[name] = {.text = text, .place = {}, .base = {}};
  cleave::Pool pool(comm, {.threads = threads,
                           .schedule = cleave::Schedule::parse(schedule),
                           .seed = 5,
                           .data_path = path});
  const auto job = workload.prepare({workload.parameters, given}, pool);
  job->run(pool);
  if (!comm.is_root())
    return;
  // Failed tasks are an answer like any other.
  const cleave::Verdict verdict = job->check();
  const bool wrong =
      verdict.verify == cleave::Verify::failed && verdict.kind == cleave::ErrorKind::wrong_answer;
  std::printf("%s %s%s %d ranks x %d threads, %s, %s%s\n", workload.name.c_str(),
              cleave::hex16(cleave::checksum(job->result())).c_str(), wrong ? "-WRONG" : "",
              comm.size(), threads, schedule.c_str(), name(path), paths.c_str());
}

/// All at one number of threads, the most unlike ones at the others.
std::vector<std::string> schedules(int threads) {
  if (threads == 2)
    return {"block",     "cyclic",    "cyclic,7", "dynamic",  "guided",
            "trapezoid", "factoring", "weighted", "adaptive", "auto"};
  return {"block", "dynamic,3", "auto"};
}

} // namespace

int main() {
  std::vector<cleave::Workload> workloads = cleave::all_workloads();
  std::erase_if(workloads, [](const auto& workload) { return !workload.unavailable.empty(); });
  for (const cleave::Workload& workload : workloads)
    if (workload.before_mpi)
      workload.before_mpi();
  const cleave::Session session;
  const cleave::Comm truth(session);
  const cleave::Comm apart(session, {.message_limit = 1000, .ranks_per_node = 1});
  for (const cleave::Workload& workload : workloads)
    for (const int threads : {1, 2, 3})
      for (const std::string& schedule : schedules(threads))
        run(truth, "", workload, threads, schedule, DataPath::automatic);
  for (const cleave::Workload& workload : workloads) {
    run(truth, "", workload, 2, "cyclic,3", DataPath::window);
    run(truth, "", workload, 2, "cyclic,3", DataPath::messages);
    run(apart, ", every rank a node", workload, 2, "cyclic,3", DataPath::messages);
    run(apart, ", every rank a node", workload, 1, "block", DataPath::messages);
  }
}
