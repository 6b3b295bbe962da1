/// @file
/// What an Executor must do at every layout, over MPI and over threads of one process alike. Each
/// check is collective and uses only EXPECT_, so that no rank leaves the others waiting.
#pragma once

#include "cleave/executor.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace cleave::testing {

/// Results in order and in any order, map, wait, as_completed, timeouts.
void check_futures(Pool& pool);
/// Arguments and results of every kind.
void check_task_types(Pool& pool);
/// Arguments and results of `mebibytes`, which are far larger than a ring.
void check_large_tasks(Pool& pool, std::int64_t mebibytes);
/// Priorities and cancellation, where all workers are held up.
void check_queue(Pool& pool);
/// Tasks and types that throw; a function that throws.
void check_task_failures(Pool& pool);
/// Tasks that take longer than their time-out, and others beside them.
void check_task_timeouts(Pool& pool);
/// A repetition counts the tasks and clocks the workers.
void check_task_times(Pool& pool);
/// Inputs without end in sight, results as they come.
void check_unordered(Pool& pool);
/// Runs one after the other, mixed with other calls of the Pool.
void check_runs(Pool& pool);
/// Of ten tasks in each of two runs; at root.
std::vector<std::uint64_t> random_numbers(Pool& pool);
/// Root does something else between submit and get, for a second: the workers do not idle.
void check_workers_stay_busy(Pool& pool, const std::function<void()>& something_else);
/// A function that waits for a task of that length, which sleeps.
void wait_for_a_sleeping_task(Executor& e, std::chrono::milliseconds length);

/// All checks above but check_workers_stay_busy; large tasks of `mebibytes`.
void check_executor(Pool& pool, std::int64_t mebibytes);

} // namespace cleave::testing
