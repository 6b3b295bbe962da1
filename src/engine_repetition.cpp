/// @file
/// The Engine's clockwork: ranks start a repetition together, and root collects what all measured.
#include "cleave/engine.hpp"
#include "cleave/serialize.hpp"
#include "machine.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <tuple>
#include <utility>

namespace cleave::detail {
namespace {

std::uint32_t involuntary_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint32_t>(usage.ru_nivcsw);
}

double utc_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void put(Packer& packer, const RankTimes& times) {
  packer.put(times.phase_time_s);
  packer.put(times.phase_begin_s);
  packer.put(times.thread_busy_s);
  packer.put(std::array{times.tasks_done, times.chunks_done, times.bytes_in, times.bytes_out,
                        times.peak_memory_bytes});
  packer.put(times.involuntary_switches);
}

RankTimes get_times(Unpacker& from) {
  RankTimes times;
  times.phase_time_s = from.get<decltype(times.phase_time_s)>();
  times.phase_begin_s = from.get<decltype(times.phase_begin_s)>();
  times.thread_busy_s = from.get<std::vector<double>>();
  const auto counts = from.get<std::array<std::uint64_t, 5>>();
  times.tasks_done = counts[0];
  times.chunks_done = counts[1];
  times.bytes_in = counts[2];
  times.bytes_out = counts[3];
  times.peak_memory_bytes = counts[4];
  times.involuntary_switches = from.get<std::uint32_t>();
  return times;
}

} // namespace

void Engine::begin_repetition() {
  (void)open({"measure", 0}, [] { return RootPart{}; });
  if (++repetition_ == 0)
    first_repetition_ = call_;
  repeated_ = call_ - first_repetition_;
  skipped_ = 0;
  resumed_ = false;
  if (comm_.nodes() > 1) // each time: clocks drift apart
    offset_ = comm_.clock_offset();
  current_ = {};
  counters_ = {};
  for (Hand& hand : hands_) {
    hand.busy_ns = 0;
    hand.tasks = hand.chunks = 0;
  }
  double load = 0;
  getloadavg(&load, 1);
  current_.load1 = static_cast<float>(load);
  current_.start_utc_s = utc_s();
  comm_.barrier();
  // Time enough for the news to reach everyone before the start.
  const std::int64_t lead_ns = comm_.nodes() == 1 ? 20'000 : 500'000;
  const auto soon = static_cast<std::uint64_t>(monotonic_ns() + lead_ns);
  const Agreement start = comm_.agree({comm_.is_root() ? soon : 0});
  start_ns_ = static_cast<std::int64_t>(start.highest[0]) - offset_.offset_ns;
  switches_ = involuntary_switches();
  do
    begun_ns_ = monotonic_ns();
  while (begun_ns_ < start_ns_);
  clock_.restart(Phase::compute, start_ns_);
}

/// What lies before the start; what comes after the end is not over when the row is written.
void Engine::clock_setup() noexcept {
  constexpr auto setup = static_cast<std::size_t>(Phase::setup);
  constexpr auto write = static_cast<std::size_t>(Phase::write);
  counters_.phase_time_s[setup] = static_cast<double>(start_ns_ - setup_ns_) * 1e-9;
  counters_.phase_begin_s[setup] = -counters_.phase_time_s[setup];
  counters_.phase_time_s[write] = not_measured;
  counters_.phase_begin_s[write] = not_measured;
}

Repetition Engine::end_repetition() {
  const std::int64_t end_ns = monotonic_ns();
  clock_.enter(Phase::write);
  clock_.read(counters_);
  clock_setup();
  counters_.involuntary_switches = involuntary_switches() - switches_;
  counters_.peak_memory_bytes = peak_memory_bytes();
  for (const Hand& hand : hands_) {
    counters_.thread_busy_s.push_back(static_cast<double>(hand.busy_ns) * 1e-9);
    counters_.tasks_done += hand.tasks;
    counters_.chunks_done += hand.chunks;
  }
  (void)open({"the end of measure", 0}, [] { return RootPart{}; });
  repeated_ = skipped_ = 0;
  clock_.enter(Phase::write);
  Packer packer;
  put(packer, counters_);
  packer.put(std::array{begun_ns_ - start_ns_, end_ns - start_ns_, offset_.error_ns});
  setup_ns_ = end_ns;
  Repetition all = std::exchange(current_, {});
  all.schedule_used = options_.schedule.text();
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  std::int64_t last = 0;
  std::int64_t wall = 0;
  const auto add = [&](std::span<const std::byte> blob) {
    Unpacker from(blob);
    all.ranks.push_back(get_times(from));
    const auto [begun, ended, error] = from.get<std::array<std::int64_t, 3>>();
    first = std::min(first, begun);
    last = std::max(last, begun);
    wall = std::max(wall, ended);
    all.clock_error_s = std::max(all.clock_error_s, static_cast<double>(error) * 1e-9);
  };
  if (comm_.is_root())
    add(packer.bytes());
  comm_.gather_blobs(packer.bytes(), [&](int, const std::vector<std::byte>& blob) { add(blob); });
  all.wall_s = resumed_ ? not_measured : static_cast<double>(wall) / 1e9;
  all.barrier_skew_s = static_cast<double>(last - first) * 1e-9;
  all.state = resumed_ ? RepState::resumed : RepState::done;
  return all;
}

std::vector<TraceRow> Engine::take_trace() {
  (void)open({"take_trace", 0}, [] { return RootPart{}; });
  close();
  Packer packer;
  for (Hand& hand : hands_)
    for (const TraceRow& row : std::exchange(hand.trace, {}))
      packer.put(row);
  std::vector<TraceRow> all;
  const auto add = [&all](std::span<const std::byte> blob) {
    for (Unpacker from(blob); !from.empty();)
      all.push_back(from.get<TraceRow>());
  };
  if (comm_.is_root())
    add(packer.bytes());
  comm_.gather_blobs(packer.bytes(), [&](int, const std::vector<std::byte>& blob) { add(blob); });
  std::ranges::sort(all, {}, [](const TraceRow& row) {
    return std::tuple(row.rep, row.rank, row.thread, row.begin_s);
  });
  return all;
}

} // namespace cleave::detail
