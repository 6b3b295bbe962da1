/// @file
/// An Executor's run on the ranks that are not root: their workers take orders and answer.
#pragma once

#include "cleave/pool.hpp"
#include "executor_channels.hpp"
#include "executor_task.hpp"

#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace cleave::detail {

/// Workers read orders from the ring themselves, one at a time, so that an order wakes no second
/// thread. On another node than root's who waits carries messages, and the rank's main thread now
/// and then while nobody waits. Else that thread sleeps.
class TaskServer {
public:
  TaskServer(Engine& engine, Channels& channels, std::vector<Thunk> thunks, std::uint64_t seed);
  TaskServer(const TaskServer&) = delete;
  TaskServer& operator=(const TaskServer&) = delete;
  ~TaskServer();

  /// Serves until root's last order. @throws Error lost_peer when a rank has left
  void serve();

private:
  void work(int thread);
  [[nodiscard]] std::optional<Frame> next_order();
  void answer(Frame frame);
  [[nodiscard]] bool flush();
  void look() const;
  void carry();
  void start() noexcept;
  void fail(const std::exception_ptr& why) noexcept;
  void stop() noexcept;

  const Comm& comm_;
  Channels& channels_;
  Channel& channel_;
  bool spins_;
  Crew crew_;
  std::atomic<bool> begun_{false};
  std::atomic<bool> over_{false};
  std::atomic<int> working_{0}; // threads
  std::mutex reading_;
  std::atomic<bool> waiting_{false}; // some worker, for an order
  FrameReader reader_;
  std::atomic<bool> woke_ = false; // root, since a worker last waited
  std::mutex writing_;
  FrameWriter writer_;
  std::mutex failing_;
  std::exception_ptr failure_;
  std::vector<std::jthread> threads_;
};

} // namespace cleave::detail
