#include "cleave/comm.hpp"

#include "comm_messages.hpp"
#include "transport.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <numeric>
#include <thread>
#include <utility>

namespace cleave {
namespace {

std::int64_t monotonic() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

CommOptions checked(CommOptions options) {
  if (options.message_limit < 1)
    throw Error(ErrorKind::bad_input, "the message limit must be at least 1 byte");
  if (!(options.patience_s > 0))
    throw Error(ErrorKind::bad_input, "patience must be a number of seconds above 0",
                {.file = {}, .line = 0, .key = "patience"});
  // MPI counts in int.
  options.message_limit =
      std::min<std::int64_t>(options.message_limit, std::numeric_limits<int>::max());
  if (!options.on_absent)
    options.on_absent = [](const std::string& text) {
      std::fprintf(stderr, "cleave: %s\n", text.c_str());
    };
  return options;
}

} // namespace

Comm::Comm(const Session&, CommOptions options) : Comm(MPI_COMM_WORLD, std::move(options)) {}

Comm::Comm(MPI_Comm parent, CommOptions options)
    : transport_(mpi_transport(parent, checked(std::move(options)))) {}

Comm::Comm(std::shared_ptr<Transport> transport) : transport_(std::move(transport)) {}

void Comm::in_process(int ranks, const std::function<void(Comm&)>& body, CommOptions options) {
  const CommOptions settled = checked(std::move(options));
  const auto hub = thread_hub();
  std::vector<std::exception_ptr> failed(static_cast<std::size_t>(ranks));
  const auto rank_left = [](int rank, const std::string& reason) {
    return "rank " + std::to_string(rank) + " has left: " + reason;
  };
  std::vector<std::jthread> threads;
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      try {
        Comm comm(thread_transport(hub, r, ranks, settled));
        comm.yield_at_once(true);
        // Who leaves because another has left names the other: it may be the quicker to say so.
        const auto leave = [&](const std::string& reason) {
          comm.leave(reason);
          const auto first = comm.transport_->meeting().departure();
          close(*hub, first ? first->text.data() : rank_left(r, reason));
        };
        try {
          body(comm);
        } catch (const std::exception& error) {
          leave(error.what());
          throw;
        } catch (...) {
          leave("an exception ended it");
          throw;
        }
      } catch (...) {
        failed[static_cast<std::size_t>(r)] = std::current_exception();
        close(*hub, rank_left(r, "an exception ended it"));
      }
    });
  threads.clear();
  for (const std::exception_ptr& failure : failed)
    if (failure)
      std::rethrow_exception(failure);
}

Comm Comm::duplicate() const {
  barrier(); // here a late rank is waited for asleep
  Comm copy(transport_->duplicate());
  copy.yield_at_once(transport_->meeting().yields());
  return copy;
}

int Comm::rank() const noexcept {
  return transport_->rank();
}
int Comm::size() const noexcept {
  return transport_->size();
}
int Comm::nodes() const noexcept {
  return transport_->nodes();
}
const CommOptions& Comm::options() const noexcept {
  return transport_->options();
}
bool Comm::one_process() const noexcept {
  return transport_->one_process();
}
const std::vector<int>& Comm::node_ranks() const noexcept {
  return transport_->node_ranks();
}

int Comm::node_of(int rank) const noexcept {
  return transport_->ranks().node[static_cast<std::size_t>(rank)];
}

const std::string& Comm::host_of(int rank) const noexcept {
  return transport_->ranks().host[static_cast<std::size_t>(rank)];
}

std::int64_t Comm::pid_of(int rank) const noexcept {
  return transport_->ranks().pid[static_cast<std::size_t>(rank)];
}

void Comm::check_agreement() const {
  if (const char* const why = transport_->refusal().load())
    throw Error(ErrorKind::bad_input, why);
}

Agreement Comm::agree(const Words& words) const {
  check_agreement();
  Meeting& meeting = transport_->meeting();
  return meeting.agree(words, [this, &meeting](const Agreement& node) {
    return transport_->fold_leaders(node, meeting);
  });
}

void Comm::leave(const std::string& reason) const noexcept {
  transport_->meeting().leave(reason);
  if (transport_->may_call())
    transport_->exchange_departures();
}

void Comm::refuse_agreement(const char* why) const noexcept {
  transport_->refusal().store(why);
  if (transport_->may_call()) // one of the threads that called MPI till now may have left
    transport_->exchange_departures();
}

void Comm::yield_at_once(bool on) const noexcept {
  transport_->meeting().yield_at_once(on);
}

bool Comm::yields() const noexcept {
  return transport_->meeting().yields();
}

std::optional<Error> Comm::left() const {
  return transport_->meeting().left();
}

void Comm::abort(int status) const noexcept {
  transport_->abort(status);
  std::_Exit(status);
}

bool Comm::left_silently() const noexcept {
  return transport_->meeting().left_silently();
}

std::unique_ptr<Mail> Comm::mail(int peer, std::int64_t piece_bytes, int line) const {
  return transport_->mail(peer, static_cast<std::size_t>(piece_bytes), line);
}

void Comm::broadcast(std::span<std::byte> bytes, int root) const {
  barrier(); // here a late rank is waited for asleep
  in_messages(bytes, options().message_limit,
              [&](std::span<std::byte> message) { transport_->broadcast(message, root); });
}

std::string Comm::broadcast(std::string text, int root) const {
  std::uint64_t length = text.size();
  broadcast(std::as_writable_bytes(std::span(&length, 1)), root);
  text.resize(length);
  broadcast(std::as_writable_bytes(std::span(text)), root);
  return text;
}

void Comm::all_gather_bytes(std::span<const std::byte> mine, std::byte* all) const {
  barrier();
  transport_->all_gather(mine, all);
}

std::vector<std::vector<std::byte>> Comm::all_gather_blobs(std::span<const std::byte> mine) const {
  const std::vector<std::uint64_t> sizes = all_gather(std::uint64_t{mine.size()});
  std::vector<std::byte> joined(std::reduce(sizes.begin(), sizes.end(), std::uint64_t{0}));
  std::vector<Part> parts;
  std::int64_t at = 0;
  for (const std::uint64_t size : sizes) {
    parts.push_back({at, static_cast<std::int64_t>(size)});
    at += static_cast<std::int64_t>(size);
  }
  gatherv<std::byte>(mine, parts, joined);
  broadcast(joined);
  std::vector<std::vector<std::byte>> all;
  for (const Part& part : parts) {
    const auto first = joined.begin() + part.first;
    all.emplace_back(first, first + part.count);
  }
  return all;
}

std::vector<std::string> Comm::all_gather(const std::string& mine) const {
  std::vector<std::string> texts;
  for (const auto& blob : all_gather_blobs(std::as_bytes(std::span(mine))))
    texts.emplace_back(reinterpret_cast<const char*>(blob.data()), blob.size());
  return texts;
}

ClockOffset Comm::clock_offset() const {
  constexpr int trips = 16;
  barrier();
  ClockOffset best{.offset_ns = 0, .error_ns = std::numeric_limits<std::int64_t>::max()};
  for (int node = 1; node < nodes(); ++node) {
    const int leader = static_cast<int>(std::ranges::find(transport_->ranks().node, node) -
                                        transport_->ranks().node.begin());
    for (int trip = 0; trip < trips && (is_root() || rank() == leader); ++trip) {
      std::int64_t root_ns = 0;
      const auto bytes = std::as_writable_bytes(std::span(&root_ns, 1));
      if (is_root()) {
        transport_->receive(bytes, leader);
        root_ns = monotonic();
        transport_->send(bytes, leader);
        continue;
      }
      const std::int64_t sent = monotonic();
      transport_->send(bytes, 0);
      transport_->receive(bytes, 0);
      const std::int64_t back = monotonic();
      if ((back - sent) / 2 < best.error_ns)
        best = {.offset_ns = root_ns - (sent + back) / 2, .error_ns = (back - sent) / 2};
    }
  }
  if (node() == 0)
    best = {};
  // The other ranks of a node share their leader's clock.
  return all_gather(best)[static_cast<std::size_t>(node_ranks().front())];
}

NodeWindow Comm::window(std::int64_t bytes) const {
  barrier();
  NodeWindow window = transport_->window(bytes);
  const bool here = bytes == 0 || !window.bytes().empty();
  const bool everywhere = nodes() == 1 || agree({here ? 1U : 0U}).lowest[0] == 1;
  return everywhere ? std::move(window) : NodeWindow{};
}

} // namespace cleave
