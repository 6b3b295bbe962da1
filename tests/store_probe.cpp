// store_probe write FILE ROWS plain|force|schedules: commits rows and says so, one line each.
// store_probe check FILE ACKNOWLEDGED: every row that FILE calls committed is whole, and the first
//   ACKNOWLEDGED ones are there; prints their number.
// store_probe sample FOLDER: writes the files that readers are tried on.
#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "cleave/study_table.hpp"
#include "run_sample.hpp"
#include "store_sample.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string_view>

namespace {

namespace fs = std::filesystem;
using namespace cleave;

// One write(2), so that a killed writer has said a line or has not.
void say(const std::string& line) {
  if (write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    std::exit(3);
}

int write_rows(const fs::path& file, int rows, std::string_view mode) {
  const bool changing = mode == "schedules";
  Store store(file, sample_info(), {rows, 0, mode == "force"});
  say("created\n");
  for (int row = 0; row < rows; ++row) {
    store.commit(row, sample_repetition(row, changing && row % 400 >= 200 ? "guided,64" : "block"));
    say("committed " + std::to_string(row) + "\n");
  }
  return 0;
}

int check(const fs::path& file, std::size_t acknowledged) {
  const Timings timings = read_timings(file);
  // Rows are committed in order, so the committed ones are the first ones.
  for (std::size_t row = 0; row < timings.run.size(); ++row) {
    const Repetition& found = timings.run[row];
    if (!same(found, sample_repetition(static_cast<int>(row), found.schedule_used))) {
      std::cout << "row " << row << " is not whole\n";
      return 1;
    }
  }
  std::cout << timings.run.size() << '\n';
  return timings.run.size() < acknowledged ? 1 : 0;
}

/// The table of a study of 1, 2 and 4 ranks: 8, 4.4 and 2.5 s.
void write_study_sample(const fs::path& folder) {
  fs::create_directories(folder / "points");
  int ranks = 1;
  for (const double seconds : {8.0, 4.4, 2.5}) {
    cleave::testing::SampleRun run;
    run.ranks = ranks;
    run.walls.clear();
    for (int i = -3; i <= 3; ++i)
      run.walls.push_back(seconds * (1 + 0.001 * i));
    write_sample(folder / "points" / (std::to_string(ranks) + ".h5"), run);
    ranks *= 2;
  }
  const Results results = read_results(folder);
  write_study(folder / "study.h5", results, tabulate(results));
}

int write_samples(const fs::path& folder) {
  StoreOptions options;
  options.repetitions = 12;
  options.warm_ups = 2;
  Store store(folder / "run.h5", sample_info(), options);
  store.commit_warm_up(0, sample_repetition(100, "block"));
  for (int row = 0; row < 9; ++row)
    store.commit(row, sample_repetition(row, row < 5 ? "block" : "guided,64"));
  Repetition wrong = sample_repetition(9, "block");
  wrong.state = RepState::wrong_answer;
  wrong.verify = Verify::failed;
  store.commit(9, wrong);
  write_trace(folder / "run.trace.h5", sample_trace());
  write_trace(folder / "empty.trace.h5", {});
  for (const char* name : {"result.h5", "result.json", "result.csv"})
    write_summary(folder / name, sample_summary());
  write_study_sample(folder / "study");
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  try {
    if (mode == "write" && argc == 5)
      return write_rows(argv[2], std::atoi(argv[3]), argv[4]);
    if (mode == "check" && argc == 4)
      return check(argv[2], static_cast<std::size_t>(std::atoi(argv[3])));
    if (mode == "sample" && argc == 3)
      return write_samples(argv[2]);
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return 3;
  }
  std::cerr << "see the top of store_probe.cpp\n";
  return 2;
}
