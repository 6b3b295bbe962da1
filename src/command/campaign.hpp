/// @file
/// One run of a list of commands, at root: gives out orders, takes reports in, keeps the log.
#pragma once

#include "job_log.hpp"
#include "ordered_output.hpp"
#include "settings.hpp"
#include "survey.hpp"
#include "task_list.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cleave::command {

/// What a worker gets: the number of a task, and its packed SpawnOrder; no bytes for the command
/// `:`, which does nothing.
using Order = std::pair<std::int64_t, std::vector<std::byte>>;
/// What comes back: the rank, and a packed SpawnReport.
using Answer = std::pair<std::int32_t, std::vector<std::byte>>;

/// Memory grows by a bit a task. Not thread-safe.
class Campaign {
public:
  /// @param log where reports are kept; null: nowhere
  /// @throws Error io when the folder of outputs cannot be made
  Campaign(const Settings& settings, const Survey& survey, JobLog* log, Tell tell);

  /// The next order; nothing when all are given out, or too many tasks have failed.
  [[nodiscard]] std::optional<Order> next();
  /// @throws Error io when the log or the output cannot be written
  void take(const Answer& answer, const std::string& host);
  /// Every report has come.
  void finish() { output_.finish(); }

  [[nodiscard]] const Tally& tally() const noexcept { return tally_; }
  /// Tasks that were begun and are to be begun anew, by a later run.
  [[nodiscard]] std::int64_t withdrawn() const noexcept { return withdrawn_; }
  /// By rank: bytes of the command that has held most there; shorter than there are ranks.
  [[nodiscard]] const std::vector<std::uint64_t>& memory() const noexcept { return memory_; }
  /// Share of the tasks that have ended.
  [[nodiscard]] double fraction() const noexcept;

private:
  [[nodiscard]] bool is_done(std::int64_t task) const;
  void note_memory(std::size_t rank, std::int64_t kib);
  void log(const SpawnReport& report, std::int32_t rank, const std::string& host,
           std::string command);

  const Settings& settings_;
  const Survey& survey_;
  TaskList list_;
  JobLog* log_;
  OrderedOutput output_;
  Tally tally_;
  std::int64_t withdrawn_ = 0;
  std::vector<std::uint64_t> memory_;
  std::map<std::int64_t, std::string> given_; // commands by task, of those that run
};

/// The orders of a campaign as a range, made when they are wanted.
class Orders {
public:
  explicit Orders(Campaign& campaign) : campaign_(campaign) {}

  class iterator {
  public:
    using value_type = Order;
    using difference_type = std::ptrdiff_t;
    explicit iterator(Campaign& campaign) : campaign_(&campaign), order_(campaign.next()) {}
    const Order& operator*() const { return *order_; }
    iterator& operator++() {
      order_ = campaign_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !order_; }

  private:
    Campaign* campaign_;
    std::optional<Order> order_;
  };
  [[nodiscard]] iterator begin() const { return iterator(campaign_); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
  Campaign& campaign_;
};

} // namespace cleave::command
