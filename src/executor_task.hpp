/// @file
/// What both ends of a channel do with a task: run it in time, and tell what it threw.
#pragma once

#include "cleave/error.hpp"
#include "cleave/executor_function.hpp"
#include "cleave/pool.hpp"
#include "executor_channels.hpp"
#include "executor_frame.hpp"
#include "watchdog.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace cleave::detail {

/// The workers of this rank. Where a task has a time-out, a task that ignores it ends the job.
class Crew {
public:
  /// @param engine, channels outlive this
  Crew(Engine& engine, Channels& channels, std::vector<Thunk> thunks, std::uint64_t seed);

  [[nodiscard]] int size() const noexcept { return static_cast<int>(workers_.size()); }
  /// Runs the task of `order` by the worker of this thread. @return the answer: the result, or what
  /// was thrown
  [[nodiscard]] Frame perform(int thread, Frame order);

private:
  [[nodiscard]] Frame answered(Worker& worker, Frame order);
  [[nodiscard]] Watch* watch(int thread, std::chrono::duration<double> timeout);
  void start_watchdog();

  Engine& engine_;
  Channels& channels_;
  std::vector<Thunk> thunks_;
  std::uint64_t seed_;
  std::vector<Worker> workers_; // by thread
  std::vector<Watch> watches_;  // by thread
  std::mutex starting_;
  std::optional<Watchdog> watchdog_; // since the first task that has a time-out
};

/// The failure of an answer that says threw, or whose result found no memory here.
[[nodiscard]] TaskFailure failure_in(const Frame& answer, int rank, const std::string& host);

/// Adds threads that run work(0), work(1) ... on the CPUs that the rank has.
/// @throws Error bad_input when the system starts no more: those that run already remain
void start_threads(std::vector<std::jthread>& threads, const RankPlace& place, int count,
                   const std::function<void(int)>& work);

} // namespace cleave::detail
