#include "transport.hpp"

#include "absence.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

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
  if (memory.bytes().empty())
    throw Error(ErrorKind::io, "the ranks of host " + ranks_.host[static_cast<std::size_t>(rank)] +
                                   " cannot share memory: neither memfd through /proc nor another "
                                   "way is permitted here");
  const auto place = std::ranges::find(node_ranks_, rank) - node_ranks_.begin();
  meeting_ = std::make_unique<Meeting>(std::move(memory), static_cast<int>(place),
                                       std::move(members), options_);
  meeting_->yield_at_once(static_cast<long>(node_ranks_.size()) > sysconf(_SC_NPROCESSORS_ONLN));
}

} // namespace cleave
