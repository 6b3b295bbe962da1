#include "cleave/chunks.hpp"

#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

namespace cleave {
namespace {

using Transfer = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long,
                             unsigned long);

/// Moves all of `bytes` to or from the same number of bytes at `address` of another process.
/// False when the kernel refuses.
bool transfer(Transfer call, std::int64_t pid, std::uint64_t address, std::span<std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    iovec here{.iov_base = bytes.data() + done, .iov_len = bytes.size() - done};
    iovec there{.iov_base = std::bit_cast<void*>(address + done), .iov_len = here.iov_len};
    const ssize_t moved = call(static_cast<pid_t>(pid), &here, 1, &there, 1, 0);
    if (moved <= 0)
      return false;
    done += static_cast<std::size_t>(moved);
  }
  return true;
}

Error refused(const char* verb) {
  return {ErrorKind::io, std::string("the kernel no longer lets this rank ") + verb +
                             " the root's memory: " + std::strerror(errno)};
}

/// Whether this rank may read and write root's memory: tried on a word of it.
bool may_reach_root(const Comm& comm, std::uint64_t address, std::uint64_t expected) {
  if (comm.is_root() || comm.one_process())
    return true;
  std::uint64_t word = 0;
  const auto bytes = std::as_writable_bytes(std::span(&word, 1));
  return transfer(process_vm_readv, comm.pid_of(0), address, bytes) && word == expected &&
         transfer(process_vm_writev, comm.pid_of(0), address, bytes);
}

/// Chunks that `worker` has under a static technique.
std::int64_t chunks_of(const ChunkSequence& sequence, std::int64_t worker) {
  return worker < sequence.count()
             ? (sequence.count() - worker + sequence.workers() - 1) / sequence.workers()
             : 0;
}

/// The chunks of every rank but root, which reads its own in place, as pieces of root's array,
/// thread by thread. The route and part_of must outlive the result.
Pieces pieces_to_others(const Route& route, const PartOf& part_of) {
  const Workers& workers = route.workers;
  const ChunkSequence& sequence = route.sequence;
  return {.count =
              [&](int rank) {
                std::int64_t chunks = 0;
                for (int w = workers.first_of(rank); rank != 0 && w < workers.first_of(rank + 1);
                     ++w)
                  chunks += chunks_of(sequence, w);
                return chunks;
              },
          .piece =
              [&](int rank, std::int64_t number) {
                std::int64_t worker = workers.first_of(rank);
                for (; number >= chunks_of(sequence, worker); ++worker)
                  number -= chunks_of(sequence, worker);
                return part_of(*sequence.chunk(worker + number * sequence.workers()));
              }};
}

// Chunks of one size are dealt to the lanes in groups: neighbours stay together, whose inputs and
// results may share cache lines, but no lane gets its share in fewer rounds than this.
constexpr std::int64_t largest_group = 64;
constexpr std::int64_t rounds = 16;
// No number of a chunk leaves 64 bits, even if every worker draws from every lane past its end.
constexpr std::int64_t most_dealt = std::int64_t{1} << 62;

/// Whether this is root and has its node for itself, hence works on its arrays in place.
bool root_alone(const Comm& comm) {
  return comm.is_root() && comm.node_ranks().size() == 1;
}

/// Bytes of an array that this rank passed on for its node.
std::uint64_t bytes_granted(const Supply& supply, const PartOf& part_of,
                            std::int64_t element_bytes) {
  std::int64_t elements = 0;
  for (const TaskRange units : supply.passed_on())
    elements += part_of(units).count;
  return static_cast<std::uint64_t>(elements * element_bytes);
}

} // namespace

const char* name(DataPath path) noexcept {
  constexpr std::array names = {"automatic", "direct", "window", "messages"};
  return names[static_cast<std::size_t>(path)];
}

DataPath choose_path(const Comm& comm, DataPath wanted) {
  std::uint64_t word = 0x636c65617665; // read by the others while we wait in agree()
  const auto address = comm.is_root() ? std::bit_cast<std::uint64_t>(&word) : 0;
  const std::uint64_t root_address = comm.agree({address}).highest[0];
  const bool one_node = comm.nodes() == 1;
  const bool reach = one_node && may_reach_root(comm, root_address, word);
  const bool all_reach = comm.agree({reach ? 1U : 0U}).lowest[0] == 1;
  if (wanted == DataPath::automatic)
    return !one_node ? DataPath::messages : all_reach ? DataPath::direct : DataPath::window;
  if ((wanted != DataPath::messages && !one_node) || (wanted == DataPath::direct && !all_reach))
    throw Error(ErrorKind::bad_input, std::string("the data path '") + name(wanted) +
                                          "' cannot be had here: " +
                                          (one_node ? "the kernel does not let the ranks read each "
                                                      "other's memory"
                                                    : "there are several nodes"));
  return wanted;
}

Workers::Workers(const std::vector<int>& threads) : first_(threads.size() + 1) {
  std::inclusive_scan(threads.begin(), threads.end(), first_.begin() + 1);
}

Chunks::Chunks(const ChunkSequence& sequence, int first_worker, int threads)
    : sequence_(sequence), cursors_(static_cast<std::size_t>(threads)) {
  for (Cursor& cursor : cursors_)
    cursor.ordinal = first_worker++;
}

Chunks::Chunks(const ChunkSequence& sequence, std::span<Lane> lanes, int first_lane, int threads)
    : sequence_(sequence), lanes_(lanes), fixed_(sequence.fixed_chunk()),
      cursors_(static_cast<std::size_t>(threads)) {
  for (Cursor& cursor : cursors_)
    cursor.lane = static_cast<std::size_t>(first_lane++) % lanes.size();
  if (fixed_ == 0)
    return;
  const std::int64_t n = sequence.tasks();
  dealt_ = n / fixed_ + (n % fixed_ > 0 ? 1 : 0);
  if (dealt_ > most_dealt)
    fixed_ = 0;
  const std::int64_t share = dealt_ / (rounds * std::ssize(lanes));
  group_bits_ = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(
                    std::clamp(share, std::int64_t{1}, largest_group)))) -
                1;
}

Chunks::Chunks(std::span<const TaskRange> list, Lane& lane)
    : sequence_(0, 1, Schedule()), list_(list), lanes_(&lane, 1) {}

Chunks::Chunks(Supply& supply, int threads)
    : sequence_(0, 1, Schedule()), supply_(&supply), cursors_(static_cast<std::size_t>(threads)) {}

/// Of the chunk at this place of a lane.
std::int64_t Chunks::number_at(std::size_t lane, std::int64_t place) const noexcept {
  const std::int64_t group =
      (place >> group_bits_) * std::ssize(lanes_) + static_cast<std::int64_t>(lane);
  return (group << group_bits_) + (place & ((std::int64_t{1} << group_bits_) - 1));
}

/// Of chunks of one size.
std::optional<TaskRange> Chunks::draw_dealt(Cursor& cursor) {
  for (; cursor.emptied < lanes_.size(); ++cursor.emptied) {
    std::atomic<std::int64_t>& next = lanes_[cursor.lane].next;
    // At the end all look into all lanes: to look takes the line from nobody.
    const bool foreign = cursor.emptied > 0;
    if (!foreign || number_at(cursor.lane, next.load(std::memory_order_relaxed)) < dealt_) {
      const std::int64_t number =
          number_at(cursor.lane, next.fetch_add(1, std::memory_order_relaxed));
      if (number < dealt_) {
        const std::int64_t first = number * fixed_;
        return TaskRange{first, first + std::min(fixed_, sequence_.tasks() - first)};
      }
    }
    cursor.lane = cursor.lane + 1 < lanes_.size() ? cursor.lane + 1 : 0;
  }
  return std::nullopt;
}

std::optional<TaskRange> Chunks::draw(const Pace& pace) {
  std::atomic<std::int64_t>& next = lanes_.front().next;
  if (!list_.empty()) {
    const auto ordinal = static_cast<std::size_t>(next.fetch_add(1, std::memory_order_relaxed));
    return ordinal < list_.size() ? std::optional(list_[ordinal]) : std::nullopt;
  }
  std::int64_t first = next.load(std::memory_order_relaxed);
  TaskRange chunk;
  do {
    chunk = sequence_.chunk_from(first, pace);
    if (chunk.empty())
      return std::nullopt;
  } while (!next.compare_exchange_weak(first, chunk.last, std::memory_order_relaxed));
  return chunk;
}

std::optional<TaskRange> Chunks::next(int thread, const Pace& pace) {
  if (!lanes_.empty() && fixed_ == 0)
    return draw(pace);
  Cursor& cursor = cursors_[static_cast<std::size_t>(thread)];
  if (supply_ != nullptr)
    return supply_->draw(cursor.share, pace);
  if (fixed_ > 0)
    return draw_dealt(cursor);
  const auto chunk = sequence_.chunk(cursor.ordinal);
  cursor.ordinal += sequence_.workers();
  return chunk;
}

std::span<std::byte> WindowPool::get(Use use, std::int64_t bytes) {
  NodeWindow& window = windows_[use];
  if (static_cast<std::int64_t>(window.bytes().size()) < bytes) {
    window = {}; // give the old one back first
    window = comm_.window(bytes + bytes / 4);
    if (window.bytes().empty())
      throw Error(ErrorKind::io, "no room for " + std::to_string(bytes >> 20) +
                                     " MiB of memory shared by the node");
  }
  return window.bytes().first(static_cast<std::size_t>(bytes));
}

std::byte* Scratch::get(std::size_t bytes) {
  if (lines_.size() * sizeof(Line) < bytes)
    lines_.resize((bytes + sizeof(Line) - 1) / sizeof(Line));
  return reinterpret_cast<std::byte*>(lines_.data());
}

Positions::Positions(const Route& route, const PartOf& part_of)
    : cursors_(static_cast<std::size_t>(route.workers.threads_of(route.comm.rank()))) {
  int worker = route.workers.first_of(route.comm.rank());
  for (Cursor& cursor : cursors_) {
    cursor.next = elements_;
    for_chunks(route.sequence, worker++,
               [&](TaskRange chunk) { elements_ += part_of(chunk).count; });
  }
}

void Positions::enter(int thread, const Part& part) {
  Cursor& cursor = cursors_[static_cast<std::size_t>(thread)];
  cursor.at = cursor.next;
  cursor.next += part.count;
  cursor.part = part;
}

Feed::Feed(const Route& route, std::span<const std::byte> root, std::uint64_t root_address,
           std::int64_t elements, std::int64_t element_bytes, PartOf part_of,
           WindowPool::Use window_use)
    : part_of_(std::move(part_of)), element_bytes_(element_bytes), root_pid_(route.comm.pid_of(0)),
      root_address_(root_address),
      hands_(static_cast<std::size_t>(route.workers.threads_of(route.comm.rank()))) {
  if (route.supply != nullptr) {
    const auto window = route.windows.get(window_use, elements * element_bytes);
    const bool in_place = root_alone(route.comm);
    base_ = in_place ? root.data() : window.data();
    route.supply->bring(root, in_place ? std::span<std::byte>() : window, element_bytes, part_of_);
    supply_ = route.supply;
  } else if (route.path == DataPath::direct) {
    if (route.comm.is_root() || route.comm.one_process())
      base_ = std::bit_cast<const std::byte*>(root_address);
  } else if (route.path == DataPath::window) {
    const auto window = route.windows.get(window_use, elements * element_bytes);
    std::ranges::copy(root, window.begin());
    base_ = window.data();
    route.comm.barrier();
  } else if (route.comm.is_root()) {
    base_ = root.data();
    route.comm.scatter_pieces(root, pieces_to_others(route, part_of_), {}, element_bytes);
  } else {
    positions_.emplace(route, part_of_);
    const auto bytes = static_cast<std::size_t>(positions_->elements() * element_bytes);
    received_ = {memory_.get(bytes), bytes};
    route.comm.scatter_pieces({}, pieces_to_others(route, part_of_), received_, element_bytes);
    hands_.front().moved = received_.size();
  }
}

void Feed::enter(int thread, TaskRange chunk) {
  if (positions_)
    positions_->enter(thread, part_of_(chunk));
}

const std::byte* Feed::read(int thread, Part wanted) {
  if (base_ != nullptr)
    return base_ + wanted.first * element_bytes_;
  if (positions_)
    return received_.data() + positions_->at(thread, wanted.first) * element_bytes_;
  Hand& hand = hands_[static_cast<std::size_t>(thread)];
  const auto bytes = static_cast<std::size_t>(wanted.count * element_bytes_);
  std::byte* to = hand.scratch.get(bytes);
  const auto offset = static_cast<std::uint64_t>(wanted.first * element_bytes_);
  if (!transfer(process_vm_readv, root_pid_, root_address_ + offset, {to, bytes}))
    throw refused("read");
  hand.moved += bytes;
  return to;
}

std::uint64_t Feed::bytes_moved() const {
  if (supply_ != nullptr)
    return bytes_granted(*supply_, part_of_, element_bytes_);
  return std::accumulate(hands_.begin(), hands_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Hand& hand) { return sum + hand.moved; });
}

Sink::Sink(const Route& route, std::span<std::byte> root, std::uint64_t root_address,
           std::int64_t elements, std::int64_t element_bytes, PartOf part_of,
           WindowPool::Use window_use)
    : route_(route), part_of_(std::move(part_of)), root_(root), element_bytes_(element_bytes),
      root_pid_(route.comm.pid_of(0)), root_address_(root_address),
      hands_(static_cast<std::size_t>(route.workers.threads_of(route.comm.rank()))) {
  if (route.supply != nullptr) {
    const auto window = route.windows.get(window_use, elements * element_bytes);
    const bool in_place = root_alone(route.comm);
    base_ = in_place ? root.data() : window.data();
    held_ = in_place ? std::span<std::byte>() : window;
    route.supply->take_back({root, window, element_bytes, part_of_});
  } else if (route.path == DataPath::direct) {
    if (route.comm.is_root() || route.comm.one_process())
      base_ = std::bit_cast<std::byte*>(root_address);
  } else if (route.path == DataPath::window) {
    base_ = route.windows.get(window_use, elements * element_bytes).data();
    copy_out_ = !root.empty();
  } else if (route.comm.is_root()) {
    base_ = root.data();
  } else {
    positions_.emplace(route, part_of_);
    const auto bytes = static_cast<std::size_t>(positions_->elements() * element_bytes);
    held_ = {memory_.get(bytes), bytes};
    hands_.front().moved = held_.size();
  }
}

void Sink::enter(int thread, TaskRange chunk) {
  if (positions_)
    positions_->enter(thread, part_of_(chunk));
}

std::byte* Sink::place(int thread, Part part) {
  if (base_ != nullptr)
    return base_ + part.first * element_bytes_;
  if (positions_)
    return held_.data() + positions_->at(thread, part.first) * element_bytes_;
  Hand& hand = hands_[static_cast<std::size_t>(thread)];
  return hand.scratch.get(static_cast<std::size_t>(part.count * element_bytes_));
}

void Sink::commit(int thread, Part part) {
  if (base_ != nullptr || positions_)
    return;
  Hand& hand = hands_[static_cast<std::size_t>(thread)];
  const auto bytes = static_cast<std::size_t>(part.count * element_bytes_);
  const auto offset = static_cast<std::uint64_t>(part.first * element_bytes_);
  if (!transfer(process_vm_writev, root_pid_, root_address_ + offset,
                {hand.scratch.get(bytes), bytes}))
    throw refused("write");
  hand.moved += bytes;
}

/// What has not come back super-chunk by super-chunk: that of root's own node.
void Sink::finish_granted() {
  if (!route_.comm.is_root() || held_.empty() || held_.data() == root_.data())
    return;
  for (const TaskRange units : route_.supply->granted()) {
    const Part part = part_of_(units);
    std::copy_n(held_.data() + part.first * element_bytes_, part.count * element_bytes_,
                root_.data() + part.first * element_bytes_);
  }
}

void Sink::finish() {
  if (route_.supply != nullptr)
    return finish_granted();
  if (copy_out_)
    std::copy_n(base_, root_.size(), root_.begin());
  if (route_.path == DataPath::messages)
    route_.comm.gather_pieces(held_, pieces_to_others(route_, part_of_), root_, element_bytes_);
}

std::uint64_t Sink::bytes_moved() const {
  if (route_.supply != nullptr)
    return bytes_granted(*route_.supply, part_of_, element_bytes_);
  return std::accumulate(hands_.begin(), hands_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Hand& hand) { return sum + hand.moved; });
}

} // namespace cleave
