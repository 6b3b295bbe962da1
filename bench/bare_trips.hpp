/// @file
/// Round trips between two ranks by the machine's own means, without a library of tasks: what an
/// executor's can be compared with.
#pragma once

#include "bench/bench.hpp"
#include "cleave/comm.hpp"

#include <linux/futex.h>
#include <mpi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <thread>

namespace bench {

/// Seconds that an MPI message of 96 bytes takes to rank 1 and back, both awake; at root alone.
/// Collective.
inline Seconds message_trips(const cleave::Comm& comm, int trips) {
  std::array<char, 96> bytes{};
  const auto send = [&](int to) {
    MPI_Send(bytes.data(), static_cast<int>(bytes.size()), MPI_CHAR, to, 0, MPI_COMM_WORLD);
  };
  const auto receive = [&](int from) {
    MPI_Recv(bytes.data(), static_cast<int>(bytes.size()), MPI_CHAR, from, 0, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
  };
  Seconds seconds;
  const Side trip = timed([&] {
    send(1);
    receive(1);
  });
  for (int i = 0; i < trips; ++i)
    if (comm.is_root()) {
      seconds.push_back(trip());
    } else if (comm.rank() == 1) {
      receive(0);
      send(0);
    }
  comm.barrier();
  return seconds;
}

/// A word on which two processes wait for one another.
class Ball {
public:
  void wait(std::uint32_t turn) {
    while (word_.load() != turn)
      syscall(SYS_futex, &word_, FUTEX_WAIT, turn - 1, nullptr, nullptr, 0);
  }
  void watch(std::uint32_t turn) const {
    while (word_.load() != turn) {
    }
  }
  void pass(std::uint32_t turn) {
    word_.store(turn);
    syscall(SYS_futex, &word_, FUTEX_WAKE, std::numeric_limits<int>::max(), nullptr, nullptr, 0);
  }

private:
  alignas(128) std::atomic<std::uint32_t> word_;
};

/// Seconds until a futex has woken rank 1, which has slept for 5 ms, and root has seen its answer.
/// Root stays awake, so that the other is woken on a core that rests; if it slept, the kernel might
/// bring both to one core. At root alone. Collective, on one node.
inline Seconds wake_trips(const cleave::Comm& comm, int trips) {
  const cleave::NodeWindow window = comm.window(2 * sizeof(Ball)); // zeroed
  auto* balls = reinterpret_cast<Ball*>(window.bytes().data());
  Seconds seconds;
  for (std::uint32_t turn = 1; turn <= static_cast<std::uint32_t>(trips); ++turn)
    if (comm.is_root()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      seconds.push_back(timed([&] {
        balls[0].pass(turn);
        balls[1].watch(turn);
      })());
    } else if (comm.rank() == 1) {
      balls[0].wait(turn);
      balls[1].pass(turn);
    }
  comm.barrier();
  return seconds;
}

/// Seconds until a futex has woken root, which has slept while rank 1 computed for 10 ms. At root
/// alone. Collective, on one node.
inline Seconds woken_after_work(const cleave::Comm& comm, int trips) {
  using Clock = std::chrono::steady_clock;
  struct Shared {
    Ball balls[2];
    Clock::time_point done;
  };
  const cleave::NodeWindow window = comm.window(sizeof(Shared)); // zeroed
  auto* shared = reinterpret_cast<Shared*>(window.bytes().data());
  Seconds seconds;
  for (std::uint32_t turn = 1; turn <= static_cast<std::uint32_t>(trips); ++turn)
    if (comm.is_root()) {
      shared->balls[0].pass(turn);
      shared->balls[1].wait(turn);
      seconds.push_back(std::chrono::duration<double>(Clock::now() - shared->done).count());
    } else if (comm.rank() == 1) {
      shared->balls[0].watch(turn);
      const auto end = Clock::now() + std::chrono::milliseconds(10);
      while ((shared->done = Clock::now()) < end) {
      }
      shared->balls[1].pass(turn);
    }
  comm.barrier();
  return seconds;
}

} // namespace bench
