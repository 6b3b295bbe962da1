/// @file
/// Schedules: how tasks are cut into chunks and which worker takes which. Pure arithmetic.
#pragma once

#include "cleave/range.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// How chunk sizes are chosen, by the names of the loop-scheduling literature: P workers, n tasks,
/// R of them not yet in a chunk, k tasks in the smallest chunk (the last one may have fewer).
enum class Technique : std::uint8_t {
  block,     ///< one contiguous chunk a worker
  cyclic,    ///< chunks of k dealt out in turn
  dynamic,   ///< chunks of k to whoever is free
  guided,    ///< R/P. Polychronopoulos & Kuck 1987, doi:10.1109/TC.1987.5009495
  trapezoid, ///< from n/2P linearly down to k. Tzen & Ni 1993, doi:10.1109/71.205655
  factoring, ///< P equal chunks of every half of what is left (FAC2). Flynn Hummel, Schonberg &
             ///< Flynn 1992, doi:10.1145/135226.135232
  weighted,  ///< R/2P times the worker's weight. Flynn Hummel, Schmidt, Uma & Wein 1996,
             ///< doi:10.1145/237502.237576
  adaptive,  ///< as weighted, by weights that the caller renews from the times of chunks.
             ///< Banicescu, Velusamy & Devaprasad 2003, doi:10.1023/A:1023588520138
  automatic  ///< as adaptive, each chunk within the time that the caller allows; written `auto`
};

/// A technique with its smallest chunk, written `guided,64`.
class Schedule {
public:
  /// @param chunk tasks (leaves, in a reduction) in the smallest chunk, >= 1
  /// @throws Error bad_input when chunk < 1, or when the technique takes no chunk and chunk > 1
  explicit Schedule(Technique technique = Technique::automatic, std::int64_t chunk = 1);

  /// Reads `auto`, `block`, or any other technique, with or without a chunk: `guided`, `guided,64`,
  /// `guided,1e3`.
  /// @throws Error bad_input that lists the techniques when `text` is anything else
  [[nodiscard]] static Schedule parse(std::string_view text);

  [[nodiscard]] Technique technique() const noexcept { return technique_; }
  [[nodiscard]] std::int64_t chunk() const noexcept { return chunk_; }
  /// The text that parse() reads back.
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Schedule&, const Schedule&) = default;

private:
  Technique technique_;
  std::int64_t chunk_;
};

/// What a worker knows of itself when it draws its next chunk.
struct Pace {
  /// Speed relative to the mean of the workers, taken within [1/64, 64]. 1 stands for what cannot
  /// be a speed: zero, negative, infinite, not a number.
  double weight = 1;
  /// Tasks that the worker does in the time that a chunk may take; automatic alone asks for it.
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
};

/// The chunks of [0, n) under a schedule for a number of workers: a pure function, so that every
/// worker computes every bound by itself. Local, thread-safe, constant time; never overflows.
///
/// Static techniques give chunk 0, 1, ... a worker each beforehand: count(), chunk(), owner(). Of
/// the others, these three tell the static form, that of block, which serves where work cannot be
/// drawn (Distributed).
///
/// Under any technique chunks may be drawn. All that workers share then is the first task that is
/// in no chunk: each reads it, asks chunk_from() which chunk begins there, and moves it past that
/// chunk by compare-exchange. Whatever the sizes, the chunks drawn cover [0, n) once. Chunks of one
/// size, fixed_chunk(), can be drawn by number as well, in any order.
class ChunkSequence {
public:
  /// @pre n >= 0, workers >= 1
  ChunkSequence(std::int64_t n, std::int64_t workers, const Schedule& schedule) noexcept;

  /// Whether every chunk has its owner beforehand: block and cyclic.
  [[nodiscard]] bool is_static() const noexcept {
    return schedule_.technique() <= Technique::cyclic;
  }
  /// The number of chunks of the static form, none of them empty.
  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  /// Chunk number `ordinal` of the static form; nothing at or past count().
  [[nodiscard]] std::optional<TaskRange> chunk(std::int64_t ordinal) const noexcept;
  /// The worker that chunk `ordinal` of the static form belongs to.
  [[nodiscard]] std::int64_t owner(std::int64_t ordinal) const noexcept {
    return ordinal % workers_;
  }

  /// Under dynamic the tasks in every chunk but the last; 0 under other techniques.
  [[nodiscard]] std::int64_t fixed_chunk() const noexcept;
  /// The chunk that begins at task `first` for a worker of this pace: not empty and within
  /// [first, n) before n, empty from n on. Trapezoid's size is the rounded sqrt(F^2 - (F^2 - k^2)
  /// first / n), F = max(k, ceil(n / 2P)): linear in the number of the chunk, told by its position.
  /// Sizes above 2^53 tasks are those of the formula but for rounding; bounds are always exact.
  /// @pre first >= 0
  [[nodiscard]] TaskRange chunk_from(std::int64_t first, const Pace& pace = {}) const noexcept;

  /// The same schedule for other tasks and workers.
  [[nodiscard]] ChunkSequence resized(std::int64_t n, std::int64_t workers) const noexcept {
    return {n, workers, schedule_};
  }
  [[nodiscard]] Technique technique() const noexcept { return schedule_.technique(); }
  [[nodiscard]] std::int64_t tasks() const noexcept { return n_; }
  [[nodiscard]] std::int64_t workers() const noexcept { return workers_; }

private:
  [[nodiscard]] std::int64_t size_at(std::int64_t first, const Pace& pace) const noexcept;

  std::int64_t n_;
  std::int64_t workers_;
  Schedule schedule_;
  std::int64_t count_;
};

/// A chunk and how long it takes, in any unit.
struct CostedChunk {
  TaskRange tasks;
  double cost = 0;
};

/// [0, n) in about 128 chunks a worker of equal cost, a task that costs more than that alone, the
/// dearest first (longest processing time first: Graham 1969, doi:10.1137/0117039). Local, O(n).
/// @param cost of task i in any unit; what is negative or not finite counts as 0
[[nodiscard]] std::vector<TaskRange>
chunks_by_cost(std::int64_t n, std::int64_t workers,
               const std::function<double(std::int64_t)>& cost);

/// [0, n) with the given chunks in front, the dearest first, and the rest behind them in chunks of
/// at most `size` tasks. Local. @pre `dear` lie in [0, n) and do not overlap; size >= 1
[[nodiscard]] std::vector<TaskRange>
chunks_dearest_first(std::int64_t n, std::vector<CostedChunk> dear, std::int64_t size);

} // namespace cleave
