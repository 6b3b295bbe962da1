#include "session_roll.hpp"

#include "waiting.hpp"

#include <array>
#include <thread>

namespace cleave {
namespace {

constexpr auto longest_nap = std::chrono::milliseconds(20);

} // namespace

std::optional<int> call_roll(MPI_Comm comm, Intent intent,
                             const std::function<void(std::chrono::duration<double>)>& waits) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  const int mine = intent == Intent::end_mpi ? rank + 1 : 0;
  const std::array said{mine, -mine};
  std::array<int, 2> most{};
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(said.data(), most.data(), 2, MPI_INT, MPI_MAX, comm, &request);
  const auto since = Naps::Clock::now();
  const Naps naps(longest_nap);
  for (int done = 0;;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0)
      break;
    if (naps.awake())
      continue;
    std::this_thread::sleep_until(naps.next());
    waits(Naps::Clock::now() - since);
  }
  const bool some_make = most[1] == 0;
  return some_make && most[0] > 0 ? std::optional(most[0] - 1) : std::nullopt;
}

} // namespace cleave
