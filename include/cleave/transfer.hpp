/// @file
/// Typed inputs and results of one collective call: flat types travel as bytes, others as archives.
/// Not for users: they see the Pool.
#pragma once

#include "cleave/chunks.hpp"
#include "cleave/engine.hpp"
#include "cleave/fresh.hpp"
#include "cleave/serialize.hpp"

#include <bit>
#include <concepts>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace cleave::detail {

/// Elements [first, ...) of a larger array, indexed as in that array.
template <class T>
struct Window {
  T* data;
  std::int64_t first;
  T& operator[](std::int64_t i) const { return data[i - first]; }
};

/// The inputs of a call over indices: nothing travels.
struct Indices {
  static constexpr bool archived = false;
  struct View {
    std::int64_t operator[](std::int64_t i) const { return i; }
  };
  static constexpr std::int64_t item_bytes = 1;
  [[nodiscard]] std::uint64_t address() const { return 0; }
  void begin(const Route&, const RootPart&, const PartOf&) {}
  void enter(int, TaskRange) {}
  [[nodiscard]] View view(int, TaskRange) { return {}; }
  [[nodiscard]] std::uint64_t bytes_moved() const { return 0; }
};

/// Inputs whose bytes are their values.
template <class T>
class FlatInputs {
  static_assert(!std::same_as<T, bool>, "std::vector<bool> is no array: use std::vector<char>");

public:
  static constexpr bool archived = false;
  static constexpr std::int64_t item_bytes = sizeof(T);
  explicit FlatInputs(const std::vector<T>& items) : items_(items) {}
  [[nodiscard]] std::uint64_t address() const {
    return std::bit_cast<std::uint64_t>(items_.data());
  }
  void begin(const Route& route, const RootPart& root, const PartOf& part_of) {
    const auto bytes =
        route.comm.is_root() ? std::as_bytes(std::span(items_)) : std::span<const std::byte>();
    feed_.emplace(route, bytes, root.inputs, root.tasks, item_bytes, part_of);
  }
  void enter(int thread, TaskRange chunk) { feed_->enter(thread, chunk); }
  [[nodiscard]] Window<const T> view(int thread, TaskRange block) {
    const std::byte* bytes = feed_->read(thread, {block.first, block.size()});
    return {reinterpret_cast<const T*>(bytes), block.first};
  }
  [[nodiscard]] std::uint64_t bytes_moved() const { return feed_->bytes_moved(); }

private:
  const std::vector<T>& items_;
  std::optional<Feed> feed_;
};

/// Inputs that are archived for the other ranks; root reads its own in place.
template <class T>
class PackedInputs {
public:
  static constexpr bool archived = true;
  static constexpr std::int64_t item_bytes = sizeof(T);
  explicit PackedInputs(const std::vector<T>& items) : items_(items) {}
  [[nodiscard]] std::uint64_t address() const { return 0; }

  /// Collective to its end, whatever an item's serialize() throws: that is thrown afterwards.
  void begin(const Route& route, const RootPart& root, const PartOf& part_of) {
    in_place_ = route.comm.is_root();
    if (route.drawn)
      return offer(route, root, part_of);
    part_of_ = part_of;
    if (!in_place_)
      positions_.emplace(route, part_of_);
    std::exception_ptr failure;
    const std::vector<std::byte> blob = route.comm.scatter_blobs([&](int rank) {
      try {
        return packed(route, rank);
      } catch (...) {
        failure = std::current_exception();
        return std::vector<std::byte>();
      }
    });
    if (failure)
      std::rethrow_exception(failure);
    moved_ = blob.size();
    Unpacker from(blob);
    for (std::int64_t i = positions_ ? positions_->elements() : 0; i > 0; --i)
      received_.push_back(from.get<T>());
  }
  void enter(int thread, TaskRange chunk) {
    if (positions_)
      positions_->enter(thread, part_of_(chunk));
  }
  [[nodiscard]] Window<const T> view(int thread, TaskRange block) {
    if (in_place_)
      return {items_.data(), 0};
    if (positions_)
      return {received_.data() + positions_->at(thread, block.first), block.first};
    return {fetch(thread, block).data(), block.first};
  }
  [[nodiscard]] std::uint64_t bytes_moved() const {
    return moved_ + (archive_ ? archive_->bytes_moved() + offsets_->bytes_moved() : 0);
  }

private:
  struct alignas(128) Hand {
    std::vector<T> items;
  };

  /// The items of a rank's chunks, thread by thread.
  [[nodiscard]] std::vector<std::byte> packed(const Route& route, int rank) const {
    Packer packer;
    for (int w = route.workers.first_of(rank); w < route.workers.first_of(rank + 1); ++w)
      for_chunks(route.sequence, w, [&](TaskRange chunk) {
        const Part part = part_of_(chunk);
        for (std::int64_t i = part.first; i < part.first + part.count; ++i)
          packer.put(items_[static_cast<std::size_t>(i)]);
      });
    return packer.take();
  }

  /// Root archives everything, one item after the other, for whoever draws it.
  void offer(const Route& route, const RootPart& root, const PartOf& part_of) {
    std::exception_ptr failure;
    Packer packer;
    if (in_place_) {
      try {
        for (const T& item : items_) {
          ends_.push_back(packer.bytes().size());
          packer.put(item);
        }
      } catch (...) {
        failure = std::current_exception();
      }
      bytes_ = packer.take();
      ends_.resize(static_cast<std::size_t>(root.tasks) + 1, bytes_.size());
    }
    const Agreement where =
        route.comm.agree({std::bit_cast<std::uint64_t>(ends_.data()),
                          std::bit_cast<std::uint64_t>(bytes_.data()), bytes_.size()});
    hands_.resize(static_cast<std::size_t>(route.workers.threads_of(route.comm.rank())));
    const PartOf ends_of = [part_of](TaskRange chunk) {
      const Part part = part_of(chunk);
      return Part{part.first, part.count + 1};
    };
    offsets_.emplace(route, std::as_bytes(std::span(ends_)), where.highest[0], root.tasks + 1,
                     sizeof(std::uint64_t), ends_of, WindowPool::inputs);
    const PartOf bytes_of = [this, part_of](TaskRange chunk) {
      const Part part = part_of(chunk);
      const std::uint64_t* ends = ends_at(0, part);
      return Part{static_cast<std::int64_t>(ends[0]),
                  static_cast<std::int64_t>(ends[part.count] - ends[0])};
    };
    archive_.emplace(route, std::span<const std::byte>(bytes_), where.highest[1],
                     static_cast<std::int64_t>(where.highest[2]), 1, bytes_of, WindowPool::archive);
    if (failure)
      std::rethrow_exception(failure);
  }

  /// Where the items begin in the archive, and where the last one ends.
  [[nodiscard]] const std::uint64_t* ends_at(int thread, const Part& items) {
    if (in_place_)
      return ends_.data() + items.first;
    return reinterpret_cast<const std::uint64_t*>(
        offsets_->read(thread, {items.first, items.count + 1}));
  }

  /// Reads what root has archived.
  const std::vector<T>& fetch(int thread, TaskRange block) {
    const std::uint64_t* ends = ends_at(thread, {block.first, block.size()});
    const auto first = static_cast<std::int64_t>(ends[0]);
    const auto bytes = static_cast<std::size_t>(ends[block.size()] - ends[0]);
    Unpacker from({archive_->read(thread, {first, static_cast<std::int64_t>(bytes)}), bytes});
    std::vector<T>& items = hands_[static_cast<std::size_t>(thread)].items;
    items.clear();
    for (std::int64_t i = 0; i < block.size(); ++i)
      items.push_back(from.get<T>());
    return items;
  }

  const std::vector<T>& items_;
  bool in_place_ = false;
  std::uint64_t moved_ = 0;
  PartOf part_of_; // where chunks have their workers beforehand
  std::optional<Positions> positions_;
  std::vector<T> received_;
  std::vector<std::uint64_t> ends_; // root: of the items in bytes_, where chunks are drawn
  std::vector<std::byte> bytes_;
  std::optional<Feed> offsets_;
  std::optional<Feed> archive_;
  std::vector<Hand> hands_;
};

template <class T>
using Inputs = std::conditional_t<Flat<T>, FlatInputs<T>, PackedInputs<T>>;

/// Brings inputs to the ranks. When an item cannot be archived, every rank throws MapError.
template <class In>
void feed(Engine& engine, In& in, const Route& route, const RootPart& root, const PartOf& part_of) {
  if constexpr (In::archived) {
    engine.attempt([&] { in.begin(route, root, part_of); });
    engine.join_or_throw();
  } else {
    in.begin(route, root, part_of);
  }
}

/// What a checkpoint has kept is of the length that the call's types say.
inline void require_length(std::span<const std::byte> bytes, std::size_t expected) {
  if (bytes.size() != expected)
    throw Error(ErrorKind::bad_input, "the checkpoint was made by another program");
}

/// Results whose bytes are their values; bool is kept as a byte, since std::vector<bool> is no
/// array.
template <class R>
class FlatResults {
public:
  static constexpr bool archived = false;
  using Stored = std::conditional_t<std::same_as<R, bool>, unsigned char, R>;
  static constexpr std::int64_t item_bytes = sizeof(R);

  void recycle(std::vector<R> old) noexcept {
    if constexpr (std::same_as<Stored, R>)
      results_.recycle(std::move(old));
  }
  /// Root's array: made before the others need its address.
  [[nodiscard]] std::uint64_t allocate(std::int64_t n) {
    results_.allocate(n);
    return std::bit_cast<std::uint64_t>(results_.span().data());
  }
  void begin(const Route& route, const RootPart& root, const PartOf& part_of) {
    start(route, std::as_writable_bytes(results_.span()), root, part_of, WindowPool::results);
  }
  void enter(int thread, TaskRange chunk) { sink_->enter(thread, chunk); }
  [[nodiscard]] Window<Stored> view(int thread, TaskRange block) {
    std::byte* bytes = sink_->place(thread, {block.first, block.size()});
    return {reinterpret_cast<Stored*>(bytes), block.first};
  }
  void commit(int thread, TaskRange block) { sink_->commit(thread, {block.first, block.size()}); }
  void finish() { sink_->finish(); }
  [[nodiscard]] std::uint64_t bytes_moved() const { return sink_->bytes_moved(); }
  /// Into the checkpoint.
  void keep(Engine& engine, const Window<Stored>& results, TaskRange tasks) const {
    engine.keep(tasks, std::as_bytes(std::span(&results[tasks.first],
                                               static_cast<std::size_t>(tasks.size()))));
  }
  /// From there, at root. @throws Error bad_input for bytes of another length
  void restore(TaskRange tasks, std::span<const std::byte> bytes) {
    const auto to = std::as_writable_bytes(results_.span().subspan(
        static_cast<std::size_t>(tasks.first), static_cast<std::size_t>(tasks.size())));
    require_length(bytes, to.size());
    std::ranges::copy(bytes, to.begin());
  }

  [[nodiscard]] std::vector<R> take() {
    if constexpr (std::same_as<Stored, R>)
      return results_.take();
    else
      return {results_.span().begin(), results_.span().end()};
  }
  /// Results with holes where tasks failed.
  [[nodiscard]] std::vector<std::optional<R>> take_with(const std::vector<TaskFailure>& failures) {
    std::vector<std::optional<R>> all(results_.span().begin(), results_.span().end());
    for (const TaskFailure& failure : failures)
      if (!all.empty())
        all[static_cast<std::size_t>(failure.task)].reset();
    return all;
  }

protected:
  void start(const Route& route, std::span<std::byte> bytes, const RootPart& root,
             const PartOf& part_of, WindowPool::Use use) {
    sink_.emplace(route, bytes, root.results, root.tasks, item_bytes, part_of, use);
  }

private:
  Fresh<Stored> results_;
  std::optional<Sink> sink_;
};

/// Results that are archived on their way to root.
template <class R>
class PackedResults {
public:
  static constexpr bool archived = true;
  using Stored = std::optional<R>;
  static constexpr std::int64_t item_bytes = sizeof(R);

  void recycle(const std::vector<R>&) noexcept {}
  [[nodiscard]] std::uint64_t allocate(std::int64_t n) {
    results_.resize(static_cast<std::size_t>(n));
    return 0;
  }
  void begin(const Route& route, const RootPart&, const PartOf&) {
    comm_.emplace(route.comm);
    if (!comm_->is_root())
      hands_.resize(static_cast<std::size_t>(route.workers.threads_of(comm_->rank())));
  }
  void enter(int, TaskRange) {}
  /// Asked for once a block.
  [[nodiscard]] Window<Stored> view(int thread, TaskRange block) {
    if (comm_->is_root())
      return {results_.data(), 0};
    auto& blocks = hands_[static_cast<std::size_t>(thread)].blocks;
    blocks.push_back({block, std::vector<Stored>(static_cast<std::size_t>(block.size()))});
    return {blocks.back().results.data(), block.first};
  }
  void commit(int, TaskRange) {}
  /// Archives this rank's results for root. Local; throws what a result's serialize() throws.
  void pack() {
    for (const Hand& hand : hands_)
      for (const Block& block : hand.blocks) {
        packer_.put(block.tasks);
        for (const Stored& result : block.results)
          packer_.put(result);
      }
    hands_.clear();
    moved_ = packer_.bytes().size();
  }
  /// Collective to its end, whatever a result's serialize() throws at root: that is thrown after.
  void finish() {
    std::exception_ptr failure;
    comm_->gather_blobs(packer_.bytes(), [&](int, const std::vector<std::byte>& blob) {
      try {
        unpack(blob);
      } catch (...) {
        failure = std::current_exception();
      }
    });
    if (failure)
      std::rethrow_exception(failure);
  }
  [[nodiscard]] std::uint64_t bytes_moved() const { return moved_; }
  void keep(Engine& engine, const Window<Stored>& results, TaskRange tasks) const {
    Packer packer;
    for (std::int64_t i = tasks.first; i < tasks.last; ++i)
      packer.put(results[i]);
    engine.keep(tasks, packer.bytes());
  }
  void restore(TaskRange tasks, std::span<const std::byte> bytes) {
    Unpacker from(bytes);
    for (std::int64_t i = tasks.first; i < tasks.last; ++i)
      results_[static_cast<std::size_t>(i)] = from.get<Stored>();
  }

  [[nodiscard]] std::vector<R> take() {
    std::vector<R> all;
    all.reserve(results_.size());
    for (Stored& result : results_)
      all.push_back(std::move(*result));
    return all;
  }
  [[nodiscard]] std::vector<Stored> take_with(const std::vector<TaskFailure>&) {
    return std::move(results_);
  }

private:
  struct Block {
    TaskRange tasks;
    std::vector<Stored> results;
  };
  struct alignas(128) Hand {
    std::deque<Block> blocks;
  };

  void unpack(std::span<const std::byte> blob) {
    for (Unpacker from(blob); !from.empty();) {
      const auto tasks = from.get<TaskRange>();
      for (std::int64_t i = tasks.first; i < tasks.last; ++i)
        results_[static_cast<std::size_t>(i)] = from.get<Stored>();
    }
  }

  std::optional<Comm> comm_;
  std::vector<Stored> results_; // root: by task
  std::vector<Hand> hands_;     // elsewhere: by thread
  Packer packer_;
  std::uint64_t moved_ = 0;
};

template <class R>
using Results =
    std::conditional_t<Flat<R> && std::default_initializable<R>, FlatResults<R>, PackedResults<R>>;

} // namespace cleave::detail
