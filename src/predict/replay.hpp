/// @file
/// The parts of the simulation: who is free first, how workers choose their paces, and what a node
/// has to draw from.
#pragma once

#include "cleave/predict.hpp"

#include <cstddef>
#include <limits>
#include <vector>

namespace cleave::predict_detail {

/// The workers of a machine by the time at which each is free, first things first: a heap of four
/// children a node, which has half the levels of a binary one.
class FreeWorkers {
public:
  struct Worker {
    double free_s = 0;
    std::int64_t number = 0;
  };
  /// All free at 0.
  explicit FreeWorkers(std::int64_t workers);

  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  [[nodiscard]] const Worker& first() const noexcept { return heap_.front(); }
  /// The first worker is free again at that time, not before the time that it had.
  void delay_first(double free_s) noexcept;
  void remove_first() noexcept;

private:
  void sink(Worker worker) noexcept;
  std::vector<Worker> heap_;
};

/// What a worker that comes at a time gets.
struct Draw {
  TaskRange chunk{};      ///< empty: nothing at that time
  double time_s = 0;      ///< when it begins, or when to come again; infinite: never
  std::int64_t draws = 1; ///< chunks that it stands for
};

/// What workers know of themselves, by the rules of src/engine_compute.cpp.
class Paces {
public:
  /// @param weights by worker, those of an earlier call; empty: all alike
  Paces(Technique technique, const Machine& machine, std::vector<float> weights);

  /// Of a worker that is about to draw: it has done its last chunk.
  [[nodiscard]] Pace next(std::int64_t worker);
  void took(std::int64_t worker, const Draw& draw, double seconds);
  /// By worker, for a later call; empty for techniques without weights.
  [[nodiscard]] const std::vector<float>& weights() const noexcept { return now_; }
  /// What `auto` remembers: the longest chunks of each worker. Empty where they would be too many.
  [[nodiscard]] std::vector<CostedChunk> dear() const;

private:
  struct Hand {
    std::int64_t units = 0; // of the last chunk
    double spent_s = 0;     // for it
    std::int64_t most = 1;
    double paced_s = 0;
    double weighed_s = 0;
    std::int64_t paced_units = 0;
    double rate = 0; // as shown to the node; 0: not yet
  };
  struct Gauges { // of a node
    double sum = 0;
    int known = 0;
  };
  void weigh(std::int64_t worker);

  Technique technique_;
  std::int64_t workers_a_node_;
  std::vector<Hand> hands_; // of techniques that have a pace
  std::vector<float> weights_;
  std::vector<float> now_;
  std::vector<Gauges> gauges_;
  std::vector<std::pair<std::int64_t, CostedChunk>> dear_; // by worker
};

/// What the workers of each node draw from: on one node all units, on several the super-chunks that
/// root grants, by the rules of src/supply.cpp.
class Shelves {
public:
  Shelves(const CostProfile& costs, const Schedule& schedule, const Machine& machine,
          const ReplayCosts& overheads, std::int64_t events);

  [[nodiscard]] Draw draw(std::int64_t node, double now_s, Pace pace);
  /// Nobody will get anything any more.
  [[nodiscard]] bool empty() const noexcept { return undrawn_ == 0; }

private:
  struct Shelf {           // of a node
    TaskRange units{};     // not drawn yet
    std::int64_t size = 0; // of the super-chunk that they are the rest of
    TaskRange reserve{};
    double reserve_s = 0; // when it comes
    double counter_s = 0; // the shared counter is held until then
    double rate = 0;      // units a second, as root knows it
    double since_s = 0;   // when it got its first units
    double look_s = 0;    // until when its leader sleeps
    std::int64_t taken = 0;
    bool over = false;
  };
  void supply(Shelf& shelf, std::int64_t node, double now_s);
  void tell_rate(Shelf& shelf, double rate);
  [[nodiscard]] TaskRange grant(const Shelf& shelf, std::int64_t node);
  [[nodiscard]] std::int64_t batch(std::int64_t size) const noexcept;
  [[nodiscard]] std::int64_t workers_on(std::int64_t node) const noexcept;

  ChunkSequence sequence_;
  std::int64_t chunk_; // of dynamic
  Machine machine_;
  ReplayCosts overheads_;
  std::vector<Shelf> shelves_;
  std::int64_t coarseness_ = 1;
  std::int64_t granted_ = 0; // by root
  std::int64_t undrawn_;
  double root_free_s_ = 0;
  double rates_ = 0;
  std::int64_t rates_known_ = 0;
};

} // namespace cleave::predict_detail
