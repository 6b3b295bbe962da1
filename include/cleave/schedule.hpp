/// @file
/// Schedules: how tasks are cut into chunks and which worker takes which. Pure arithmetic.
#pragma once

#include "cleave/range.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cleave {

/// How chunk sizes are chosen (the names of the loop-scheduling literature).
enum class Technique : std::uint8_t {
  block, ///< one contiguous chunk a worker
  cyclic ///< chunks of k tasks dealt out in turn
};

/// A technique with its smallest chunk, written `cyclic,64`.
class Schedule {
public:
  /// @param chunk tasks (leaves, in a reduction) in the smallest chunk, >= 1
  /// @throws Error bad_input when chunk < 1, or when the technique takes no chunk and chunk > 1
  explicit Schedule(Technique technique = Technique::block, std::int64_t chunk = 1);

  /// Reads `block`, `cyclic` or `cyclic,64`.
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

/// The chunks of [0, n) under a schedule for a number of workers: a pure function, so that every
/// worker computes every bound by itself. Chunks have ordinals 0, 1, ...; chunk `o` of a static
/// technique belongs to worker o mod workers. Local, thread-safe, constant time.
class ChunkSequence {
public:
  /// @pre n >= 0, workers >= 1
  ChunkSequence(std::int64_t n, std::int64_t workers, const Schedule& schedule) noexcept;

  /// The number of chunks, none of them empty.
  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  /// Chunk number `ordinal`; nothing at or past count().
  [[nodiscard]] std::optional<TaskRange> chunk(std::int64_t ordinal) const noexcept;
  /// The worker that a static technique gives chunk `ordinal` to.
  [[nodiscard]] std::int64_t owner(std::int64_t ordinal) const noexcept {
    return ordinal % workers_;
  }
  [[nodiscard]] std::int64_t tasks() const noexcept { return n_; }
  [[nodiscard]] std::int64_t workers() const noexcept { return workers_; }

private:
  std::int64_t n_;
  std::int64_t workers_;
  Schedule schedule_;
  std::int64_t count_;
};

} // namespace cleave
