#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/predict.hpp"
#include "cleave/results.hpp"
#include "cleave/store.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace cleave {
namespace {

namespace fs = std::filesystem;

/// NAME.trace.h5 of NAME.h5.
fs::path trace_of(const fs::path& timings) {
  return fs::path(timings).replace_extension(".trace.h5");
}

bool has_trace(const fs::path& timings) {
  std::error_code ignored;
  return fs::exists(trace_of(timings), ignored);
}

/// @throws Error bad_input for several
void require_one_workload(const Results& results) {
  std::set<std::string> workloads;
  std::set<std::string> configurations;
  for (const Point& point : results.points) {
    workloads.insert(point.key.workload);
    configurations.insert(point.key.config_hash);
  }
  if (workloads.size() > 1)
    throw Error(ErrorKind::bad_input,
                "these are runs of several workloads, " +
                    join({workloads.begin(), workloads.end()}) + "; give the timings file of one",
                {results.path.string(), 0, {}});
  if (configurations.size() > 1)
    throw Error(ErrorKind::bad_input,
                "these are runs of several sets of parameters; give the timings file of one",
                {results.path.string(), 0, {}});
}

/// The file that tells most of what tasks cost by themselves.
fs::path file_of(const Results& results) {
  require_one_workload(results);
  std::vector<std::tuple<bool, int, fs::path>> files;
  for (const Point& point : results.points)
    for (const fs::path& file : point.files)
      files.emplace_back(!has_trace(file), point.workers, file);
  return std::get<fs::path>(*std::ranges::min_element(files));
}

MeasuredRun read_file(const fs::path& file) {
  const Timings timings = read_timings(file);
  const std::vector<TraceRow> trace =
      has_trace(file) ? read_trace(trace_of(file)) : std::vector<TraceRow>();
  try {
    return measured_run(timings, trace);
  } catch (const Error& error) {
    throw Error(error.kind(), error.message(), {file.string(), 0, {}});
  }
}

} // namespace

MeasuredRun read_measured(const fs::path& result) {
  std::error_code ignored;
  return read_file(fs::is_directory(result, ignored) ? file_of(read_results(result)) : result);
}

} // namespace cleave
