/// @file
/// The variables of the format "cleave-timings": one list that creation, commit and reading share.
#pragma once

#include "cleave/timings.hpp"

#include <type_traits>

namespace cleave::format {

inline constexpr const char* name = "cleave-timings";
inline constexpr const char* version = "1.2";
inline constexpr int major = 1;

/// What a variable is called and means.
struct Label {
  const char* name;
  const char* units;
  const char* long_name;
  const char* flag_meanings = nullptr; ///< words for the values 0, 1, ...
};

/// How a field is stored: an enumeration as its number.
template <class T, bool = std::is_enum_v<T>>
struct Stored {
  using type = T;
};
template <class T>
struct Stored<T, true> {
  using type = std::underlying_type_t<T>;
};
template <class T>
using stored_t = typename Stored<T>::type;

/// The variable that marks a row as whole: the last to be written.
inline constexpr Label rep_state = {"rep_state", "1", "state of the repetition's row",
                                    "empty done wrong_answer interrupted resumed"};
/// The sum of a row: of its variables below in their order, of its schedule and of its state.
inline constexpr Label row_sum = {"row_xxh3", "1",
                                  "XXH3-64 of the row's numbers, schedule_used and rep_state"};
/// The sum of what version 1.2 has added to a row: readers of 1.1 find theirs as it was.
inline constexpr Label added_sum = {"added_xxh3", "1",
                                    "XXH3-64 of the row's peak_memory and program_memory"};
inline constexpr std::uint64_t no_row = 0x2d06800538d394c2; ///< XXH3-64 of nothing: not written
/// The sum of the rest, an attribute.
inline constexpr const char* info_sum = "info_xxh3";
/// The text variable, which cannot be changed in place.
inline constexpr Label schedule_used = {"schedule_used", "1",
                                        "schedule of the repetition: what auto chose"};

/// Visits every variable of numbers but rep_state: `visit.of_run(label, member of Repetition)`,
/// `visit.of_ranks(label, member of RankTimes)`.
template <class Visitor>
void each_variable(Visitor& visit) {
  visit.of_run({"wall", "s", "completion time: synchronised start to the last rank's end"},
               &Repetition::wall_s);
  visit.of_run({"barrier_skew", "s", "time between the first and the last rank's start"},
               &Repetition::barrier_skew_s);
  visit.of_run({"clock_error", "s", "bound on the error of comparing clocks between ranks"},
               &Repetition::clock_error_s);
  visit.of_run({"rep_start_utc", "s", "start, since 1970-01-01 00:00:00 UTC"},
               &Repetition::start_utc_s);
  visit.of_run({"load1", "1", "one-minute load average at the start"}, &Repetition::load1);
  visit.of_run({"verify", "1", "check of the answer", "not_checked ok failed"},
               &Repetition::verify);
  visit.of_run({"checksum", "1", "XXH3-64 of the result's bytes"}, &Repetition::checksum);
  visit.of_ranks({"phase_time", "s", "time in the phase"}, &RankTimes::phase_time_s);
  visit.of_ranks({"phase_begin", "s", "first entry into the phase, from the synchronised start"},
                 &RankTimes::phase_begin_s);
  visit.of_ranks({"thread_busy", "s", "time of the thread inside tasks"},
                 &RankTimes::thread_busy_s);
  visit.of_ranks({"tasks_done", "1", "tasks computed"}, &RankTimes::tasks_done);
  visit.of_ranks({"chunks_done", "1", "chunks computed"}, &RankTimes::chunks_done);
  visit.of_ranks({"bytes_in", "byte", "task inputs received from another rank"},
                 &RankTimes::bytes_in);
  visit.of_ranks({"bytes_out", "byte", "task results sent to another rank"}, &RankTimes::bytes_out);
  visit.of_ranks({"involuntary_switches", "1", "times the kernel took the core away"},
                 &RankTimes::involuntary_switches);
}

/// The same of what version 1.2 has added.
template <class Visitor>
void each_added_variable(Visitor& visit) {
  visit.of_ranks({"peak_memory", "byte", "most memory that the rank has held since its start"},
                 &RankTimes::peak_memory_bytes);
  visit.of_ranks({"program_memory", "byte", "most memory of a program that its tasks have started"},
                 &RankTimes::program_memory_bytes);
}

} // namespace cleave::format
