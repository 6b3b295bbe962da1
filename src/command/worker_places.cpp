#include "worker_places.hpp"

#include <algorithm>
#include <iterator>

namespace cleave::command {
namespace {

bool overlap(const std::vector<int>& a, const std::vector<int>& b) {
  return std::find_first_of(a.begin(), a.end(), b.begin(), b.end()) != a.end();
}

// The CPUs of worker `thread` of `count`.
std::vector<int> share(const std::vector<int>& cpus, int thread, int count) {
  const auto begin = std::ssize(cpus) * thread / count;
  const auto end = std::ssize(cpus) * (thread + 1) / count;
  return {cpus.begin() + begin, cpus.begin() + end};
}

} // namespace

std::vector<WorkerPlace> worker_places(const Layout& layout, int rank) {
  const RankPlace& mine = layout.ranks().at(static_cast<std::size_t>(rank));
  std::vector<RankPlace> neighbours;
  int index = 0; // of this rank among them
  bool alone = true;
  for (int r = 0; const RankPlace& other : layout.ranks()) {
    if (other.node == mine.node) {
      if (r == rank)
        index = static_cast<int>(neighbours.size());
      alone = alone && (r == rank || !overlap(mine.cpus, other.cpus));
      neighbours.push_back(other);
    }
    ++r;
  }
  const auto& node = layout.nodes().at(static_cast<std::size_t>(mine.node));
  const int cores = auto_threads(neighbours, index, node, layout.facts());
  const std::string threads = std::to_string(std::max(cores / mine.threads, 1));
  const bool dealt =
      alone && mine.cpus.size() == mine.cores.size() && std::ssize(mine.cpus) >= mine.threads;

  std::vector<WorkerPlace> places;
  for (int t = 0; t < mine.threads; ++t)
    places.push_back(
        {dealt ? share(mine.cpus, t, mine.threads) : mine.cpus,
         {"CLEAVE_RANK=" + std::to_string(rank), "CLEAVE_NODE=" + std::to_string(mine.node),
          "OMP_NUM_THREADS=" + threads, "OPENBLAS_NUM_THREADS=" + threads}});
  return places;
}

} // namespace cleave::command
