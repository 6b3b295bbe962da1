#include "transport.hpp"

#include "absence.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace cleave {

void Transport::settle(int rank, Ranks ranks) {
  rank_ = rank;
  ranks_ = std::move(ranks);
  nodes_ = 1 + *std::ranges::max_element(ranks_.node);
  const int node = ranks_.node[static_cast<std::size_t>(rank)];
  std::vector<Meeting::Member> members;
  for (int r = 0; r < size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (ranks_.node[i] != node)
      continue;
    node_ranks_.push_back(r);
    members.push_back({rank_name(r, ranks_.host[i], ranks_.pid[i]), ranks_.pid[i]});
  }
  NodeWindow memory = window(Meeting::bytes_for(static_cast<int>(node_ranks_.size())));
  const std::byte mine{memory.bytes().empty()}; // on one node, perhaps: all must hear of it
  std::vector<std::byte> refused(ranks_.node.size());
  all_gather(std::span(&mine, 1), refused.data());
  const auto first = std::ranges::find(refused, std::byte{1}) - refused.begin();
  if (first != std::ssize(refused))
    throw Error(ErrorKind::io, "the ranks of host " + ranks_.host[static_cast<std::size_t>(first)] +
                                   " cannot share memory: neither memfd through /proc nor another "
                                   "way is permitted here");
  const auto place = std::ranges::find(node_ranks_, rank) - node_ranks_.begin();
  meeting_ = std::make_unique<Meeting>(std::move(memory), static_cast<int>(place),
                                       std::move(members), options_);
  meeting_->yield_at_once(static_cast<long>(node_ranks_.size()) > sysconf(_SC_NPROCESSORS_ONLN));
}

} // namespace cleave
