#include "cleave/layout.hpp"

#include "cleave/error.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <ranges>
#include <set>
#include <utility>

namespace cleave {
namespace {

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s");
}

bool overlap(const std::vector<int>& a, const std::vector<int>& b) {
  return std::ranges::any_of(a, [&b](int x) { return std::ranges::binary_search(b, x); });
}

bool all_equal(const std::vector<int>& values) {
  return std::ranges::adjacent_find(values, std::ranges::not_equal_to{}) == values.end();
}

int within_quota(int cpus, double quota) {
  return quota > 0 ? std::min(cpus, static_cast<int>(quota)) : cpus;
}

int whole_number(std::string_view text, std::string_view list) {
  int value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{} || end != text.data() + text.size() || value < 0)
    throw Error(ErrorKind::bad_input,
                "\"" + std::string(list) + "\" is not a list of CPUs such as 0-3,8");
  return value;
}

} // namespace

Layout::Layout(std::vector<NodePlace> nodes, std::vector<RankPlace> ranks, LaunchFacts facts)
    : nodes_(std::move(nodes)), ranks_(std::move(ranks)), facts_(facts) {}

int Layout::workers() const noexcept {
  int sum = 0;
  for (const RankPlace& rank : ranks_)
    sum += rank.threads;
  return sum;
}

int Layout::workers_on(int node) const noexcept {
  int sum = 0;
  for (const RankPlace& rank : ranks_)
    sum += rank.node == node ? rank.threads : 0;
  return sum;
}

int Layout::ranks_on(int node) const noexcept {
  return static_cast<int>(std::ranges::count(ranks_, node, &RankPlace::node));
}

int Layout::threads() const noexcept {
  int most = 0;
  for (const RankPlace& rank : ranks_)
    most = std::max(most, rank.threads);
  return most;
}

int Layout::allowed_cores(int node) const {
  std::set<int> cores;
  for (const RankPlace& rank : ranks_)
    if (rank.node == node)
      cores.insert(rank.cores.begin(), rank.cores.end());
  return static_cast<int>(cores.size());
}

int Layout::usable_cores(int node) const {
  const double quota = nodes_.at(static_cast<std::size_t>(node)).quota_cpus;
  return std::max(1, within_quota(allowed_cores(node), quota));
}

bool Layout::oversubscribed() const {
  for (int node = 0; node < std::ssize(nodes_); ++node)
    if (workers_on(node) > usable_cores(node))
      return true;
  return false;
}

bool Layout::uniform() const {
  std::vector<int> ranks_each;
  std::vector<int> threads_each;
  for (int node = 0; node < std::ssize(nodes_); ++node)
    ranks_each.push_back(ranks_on(node));
  std::ranges::transform(ranks_, std::back_inserter(threads_each), &RankPlace::threads);
  return all_equal(ranks_each) && all_equal(threads_each);
}

std::string Layout::shape() const {
  if (threads() <= 1)
    return "multiprocessor";
  return ranks_.size() == nodes_.size() ? "multicore" : "hybrid";
}

std::string Layout::summary() const {
  if (!uniform())
    return counted(nodes_.size(), "node") + ", " + counted(ranks_.size(), "rank") + ", " +
           counted(static_cast<std::size_t>(workers()), "thread");
  const std::size_t ranks_each = nodes_.empty() ? 0 : ranks_.size() / nodes_.size();
  return counted(nodes_.size(), "node") + " x " + counted(ranks_each, "rank") + " x " +
         counted(static_cast<std::size_t>(threads()), "thread");
}

std::string cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t first = 0; first < cpus.size();) {
    std::size_t last = first;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1)
      ++last;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[first]);
    if (last > first)
      text += '-' + std::to_string(cpus[last]);
    first = last + 1;
  }
  return text;
}

std::vector<int> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, end - begin);
    const std::size_t dash = std::min(item.find('-'), item.size());
    const int first = whole_number(item.substr(0, dash), text);
    const int last = dash == item.size() ? first : whole_number(item.substr(dash + 1), text);
    for (int cpu = first; cpu <= last; ++cpu)
      cpus.push_back(cpu);
    begin = end + 1;
  }
  return cpus;
}

int auto_threads(const std::vector<RankPlace>& ranks_of_node, int rank, const NodePlace& node,
                 const LaunchFacts& facts) {
  const std::vector<int>& mine = ranks_of_node.at(static_cast<std::size_t>(rank)).cores;
  const auto sharing = static_cast<int>(std::ranges::count_if(
      ranks_of_node, [&mine](const RankPlace& other) { return overlap(mine, other.cores); }));
  int threads = static_cast<int>(mine.size()) / std::max(1, sharing);
  threads = within_quota(threads, node.quota_cpus / static_cast<double>(ranks_of_node.size()));
  if (facts.slurm_cpus_per_task > 0)
    threads = std::min(threads, facts.slurm_cpus_per_task);
  return std::max(1, threads);
}

std::vector<std::string> mpirun_line(int ranks, int threads, int cores, bool bind) {
  std::vector<std::string> line = {"mpirun", "-q", "-n", std::to_string(ranks)};
  const auto add = [&line](std::initializer_list<std::string> more) {
    line.insert(line.end(), more);
  };
  const int cores_each = threads > 0 ? threads : std::max(1, cores / ranks);
  const bool fits = std::int64_t{ranks} * cores_each <= cores;
  if (!fits)
    add({"--oversubscribe"});
  if (fits && bind)
    // Open MPI's own choice binds at most two ranks to one core each, threads or not.
    add({"--map-by", "slot:PE=" + std::to_string(cores_each), "--bind-to", "core"});
  else
    add({"--bind-to", "none"});
  return line;
}

std::vector<std::string> mpirun_line(int ranks, int threads, const Layout& here) {
  const bool whole_machine = here.allowed_cores(0) >= here.nodes().front().cores;
  return mpirun_line(ranks, threads, here.usable_cores(0), whole_machine);
}

} // namespace cleave
