#include "ending.hpp"

#include "cleave/comm.hpp" // brings MPI
#include "cleave/launch.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

namespace cleave::app {
namespace {

using namespace std::chrono_literals;

constexpr auto grace_to_end = 3s;

// Who tells: the smallest of these over all ranks. An error of one's own comes before the news that
// another has left, and both before no error; then the lowest rank; its status comes along.
std::uint64_t standing(const Ending& mine, int rank) {
  const std::uint64_t order =
      !mine.error ? 2U : (mine.error->kind() == ErrorKind::lost_peer ? 1U : 0U);
  return order << 40U | static_cast<std::uint64_t>(rank) << 8U |
         static_cast<std::uint64_t>(mine.status & 0xff);
}

bool arrives(MPI_Request& request, bool in_a_hurry) {
  const auto deadline = std::chrono::steady_clock::now() + grace_to_end;
  auto nap = 20us;
  for (int done = 0;;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0)
      return true;
    if (in_a_hurry && std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(nap);
    nap = std::min<std::chrono::microseconds>(nap * 2, 1000us);
  }
}

[[noreturn]] void terminate_handler() {
  const char* reason = "without an exception";
  try {
    if (const std::exception_ptr current = std::current_exception())
      std::rethrow_exception(current);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cleave: error: rank %d terminated: %s\n", launched_rank(), error.what());
    reason = nullptr;
  } catch (...) {
    reason = "by an exception of an unknown type";
  }
  if (reason != nullptr)
    std::fprintf(stderr, "cleave: error: rank %d terminated %s\n", launched_rank(), reason);
  int begun = 0;
  int ended = 0;
  MPI_Initialized(&begun);
  MPI_Finalized(&ended);
  if (begun != 0 && ended == 0)
    MPI_Abort(MPI_COMM_WORLD, exit_status(ErrorKind::failed_task));
  std::_Exit(exit_status(ErrorKind::failed_task));
}

} // namespace

int end_together(const Ending& mine, const std::function<void(const Error&, int rank)>& tell) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const std::uint64_t my_standing = standing(mine, rank);
  const std::uint64_t send[2] = {my_standing, ~(my_standing >> 40U)};
  std::uint64_t first[2] = {};
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(send, first, 2, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD, &request);
  if (!arrives(request, mine.error.has_value())) {
    tell(*mine.error, rank);
    MPI_Abort(MPI_COMM_WORLD, mine.status);
  }
  if (first[0] >> 40U == 2U)
    return mine.status;
  const bool alike = ~first[1] == first[0] >> 40U; // the largest order is the smallest too
  if (first[0] == my_standing)
    tell(*mine.error, alike ? -1 : rank);
  return static_cast<int>(first[0] & 0xffU);
}

void tell_before_terminating() {
  std::set_terminate(terminate_handler);
}

} // namespace cleave::app
