#include "cleave/predict.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace cleave {
namespace {

/// Rows of a CSV file of tests/data/predict, without its heading.
std::vector<std::vector<std::string>> rows_of(const std::string& name) {
  std::ifstream file(std::string(CLEAVE_SOURCE_DIR) + "/tests/data/predict/" + name);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    std::istringstream cells(line);
    auto& row = rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');)
      row.push_back(cell);
  }
  EXPECT_GT(rows.size(), 1U) << name;
  rows.erase(rows.begin());
  return rows;
}

/// The recorded runs of one rank, by load.
std::map<std::string, MeasuredRun> recorded_runs() {
  std::map<std::string, Timings> timings;
  for (const auto& row : rows_of("walls.csv")) {
    Timings& own = timings[row[0]];
    own.info.schedule = "dynamic";
    own.run.emplace_back().wall_s = std::stod(row[2]) * 1e-9;
    own.run.back().state = RepState::done;
  }
  std::map<std::string, std::vector<TraceRow>> traces;
  for (const auto& row : rows_of("chunks.csv"))
    traces[row[0]].push_back({std::stoi(row[1]), 0, 0, std::stoll(row[2]), 1,
                              std::stod(row[3]) * 1e-9, std::stod(row[4]) * 1e-9});
  std::map<std::string, MeasuredRun> runs;
  for (const auto& [load, own] : timings)
    runs[load] = measured_run(own, traces[load]);
  return runs;
}

// tests/data/predict/README.md says where and how these were recorded.
TEST(Recorded, TwoRanksAreAsPredictedFromOne) {
  const std::map<std::string, MeasuredRun> runs = recorded_runs();
  std::vector<double> errors;
  for (const auto& row : rows_of("times.csv")) {
    const std::int64_t ranks = std::stoll(row[2]);
    const Prediction prediction = predict(runs.at(row[0]), Schedule::parse(row[1]), {ranks, ranks});
    const double error = std::abs(prediction.time_s.value / std::stod(row[3]) - 1);
    EXPECT_LE(error, 0.15) << row[0] << " under " << row[1];
    errors.push_back(error);
  }
  EXPECT_GE(errors.size(), 6U * 9U) << "six loads, all techniques";
  EXPECT_LE(median(errors), 0.10);
}

} // namespace
} // namespace cleave
