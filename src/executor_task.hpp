/// @file
/// What both ends of a channel do with a task: run it, and tell what it threw.
#pragma once

#include "cleave/error.hpp"
#include "cleave/executor_function.hpp"
#include "cleave/layout.hpp"
#include "executor_frame.hpp"

#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace cleave::detail {

/// Runs the function on the arguments of `order`. @return the answer: the result, or what was
/// thrown
[[nodiscard]] Frame perform(Thunk thunk, Worker& worker, Frame order);

/// The failure of an answer that says threw, or whose result found no memory here.
[[nodiscard]] TaskFailure failure_in(const Frame& answer, int rank, const std::string& host);

/// The workers of a rank.
[[nodiscard]] std::vector<Worker> workers_of(const Layout& layout, int rank, std::uint64_t seed);

/// Adds threads that run work(0), work(1) ... on the CPUs that the rank has.
/// @throws Error bad_input when the system starts no more: those that run already remain
void start_threads(std::vector<std::jthread>& threads, const RankPlace& place, int count,
                   const std::function<void(int)>& work);

} // namespace cleave::detail
