/// @file
/// What the programs in bench/ share: sides timed in turns within one run, medians with their
/// intervals, ratios, and a heading that says where and how it was measured.
///
/// Sides alternate, so that a machine that slows down slows all of them. Keep what is timed out of
/// line (another source file, or gnu::noinline): inlined twice, the same loop has differed by 2.
#pragma once

#include "cleave/statistics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

/// The seconds that one side took, one value a repetition.
using Seconds = std::vector<double>;

/// One repetition of one side: does the work and returns the seconds it took.
using Side = std::function<double()>;

/// A side that is timed from call to return.
inline Side timed(std::function<void()> work) {
  return [work = std::move(work)] {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
}

/// Runs all sides in turns, after one turn that is not counted. @return seconds by side
inline std::vector<Seconds> alternate(const std::vector<Side>& sides, int repetitions) {
  std::vector<Seconds> seconds(sides.size());
  for (int repetition = -1; repetition < repetitions; ++repetition)
    for (std::size_t side = 0; side < sides.size(); ++side) {
      const double taken = sides[side]();
      if (repetition >= 0)
        seconds[side].push_back(taken);
    }
  return seconds;
}

/// A median with its 95 % interval, where there are repetitions enough for one.
struct Figure {
  double median = 0;
  std::optional<cleave::Interval> interval;
};

inline Figure figure(const std::vector<double>& values) {
  return {cleave::median(values), cleave::median_interval(values)};
}

/// work / time, for rates.
inline Figure rate(double work, const Seconds& seconds) {
  const Figure time = figure(seconds);
  Figure rate{work / time.median, {}};
  if (time.interval)
    rate.interval = cleave::Interval{work / time.interval->hi, work / time.interval->lo};
  return rate;
}

/// How many times faster `a` is than `b`: turn by turn, since what slows the machine down slows
/// both sides of one turn. @pre a and b come from one alternate()
inline Figure speed_ratio(const Seconds& a, const Seconds& b) {
  std::vector<double> ratios;
  for (std::size_t turn = 0; turn < a.size(); ++turn)
    ratios.push_back(b[turn] / a[turn]);
  return figure(ratios);
}

/// How many times longer `a` takes than `b`: turn by turn, as speed_ratio.
inline Figure time_ratio(const Seconds& a, const Seconds& b) {
  return speed_ratio(b, a);
}

/// Prints `name 1.23 [1.20, 1.25] unit, wanted: bound`, what there is of it.
/// @param unit none for a ratio @param wanted the bound that it is meant to keep
inline void print(const std::string& name, const Figure& value, const std::string& unit = "",
                  const std::string& wanted = "") {
  std::printf("%-44s %10.4g", name.c_str(), value.median);
  if (value.interval)
    std::printf("  [%.4g, %.4g]", value.interval->lo, value.interval->hi);
  else
    std::printf("  [no interval]");
  const char* separator = unit.empty() || wanted.empty() ? "" : ", ";
  std::printf("  %s%s%s\n", unit.c_str(), separator,
              wanted.empty() ? "" : ("wanted: " + wanted).c_str());
}

/// The processor's name as Linux tells it.
inline std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      return line.substr(line.find(':') + 2);
  return "unknown processor";
}

/// Prints the machine, its load and the command line.
inline void print_heading(int argc, char** argv) {
  double load[3] = {0, 0, 0};
  const bool known = getloadavg(load, 3) == 3;
  std::printf("machine: %s, %u cores, load %s\ncommand:", cpu_model().c_str(),
              std::thread::hardware_concurrency(),
              known ? std::to_string(load[0]).substr(0, 4).c_str() : "unknown");
  for (int i = 0; i < argc; ++i)
    std::printf(" %s", argv[i]);
  std::printf(
      "\nmedians, 95 %% intervals in brackets; sides run in turns, ratios are of one turn\n\n");
}

/// The positive number after `--name`, else `otherwise`; exits with 2 on anything else.
inline int option(int argc, char** argv, const std::string& name, int otherwise) {
  for (int i = 1; i < argc; ++i)
    if (argv[i] == "--" + name) {
      const int value = i + 1 < argc ? std::atoi(argv[i + 1]) : 0;
      if (value >= 1)
        return value;
      std::fprintf(stderr, "--%s takes a number of at least 1\n", name.c_str());
      std::exit(2);
    }
  return otherwise;
}

} // namespace bench
