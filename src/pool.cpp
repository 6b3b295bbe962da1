#include "cleave/pool.hpp"

#include <memory>

namespace cleave {

Pool::Pool(const Comm& comm, const PoolOptions& options)
    : engine_(std::make_unique<detail::Engine>(comm.duplicate(), options)) {}

Repetition Pool::measure(const std::function<void()>& work) {
  engine_->begin_repetition();
  try {
    work();
  } catch (...) {
    engine_->abandon_repetition();
    throw;
  }
  Repetition repetition = engine_->end_repetition();
  if (is_root())
    engine_->timings().run.push_back(repetition);
  return repetition;
}

namespace detail {

NodeWindow share_bytes(Engine& engine, std::size_t type, std::span<const std::byte> bytes,
                       std::int64_t& count) {
  const RootPart root = engine.open({"share", type}, [&] {
    return RootPart{std::ssize(bytes), 0, 0};
  });
  const Comm& comm = engine.comm();
  count = root.tasks;
  NodeWindow window = comm.window(std::max(count, std::int64_t{1}));
  if (window.bytes().empty())
    throw Error(ErrorKind::io,
                "no room for " + std::to_string(count >> 20) + " MiB of memory shared by the node");
  // Root's bytes reach each node once: its leader writes them for all.
  const auto to = window.bytes().first(static_cast<std::size_t>(count));
  const auto leads = [&comm](int rank) {
    for (int r = 0; r < rank; ++r)
      if (comm.node_of(r) == comm.node_of(rank))
        return false;
    return true;
  };
  const Pieces pieces{.count = [&](int rank) { return std::int64_t{leads(rank) ? 1 : 0}; },
                      .piece =
                          [&](int, std::int64_t) {
                            return Part{0, count};
                          }};
  comm.scatter_pieces(comm.is_root() ? bytes : std::span<const std::byte>(), pieces,
                      comm.is_leader() ? to : std::span<std::byte>(), 1);
  comm.barrier();
  engine.close();
  return window;
}

} // namespace detail
} // namespace cleave
