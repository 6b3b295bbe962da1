/// @file
/// The meeting of a node's ranks in shared memory: who has arrived, what they said, who has left.
#pragma once

#include "absence.hpp"
#include "cleave/comm.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cleave {

/// That a rank has left, as it is told on other nodes.
struct Departure {
  std::uint32_t missed = 0;     ///< the first round that it takes no part in
  std::uint32_t silent = 0;     ///< 1: it did not say so itself
  std::array<char, 620> text{}; ///< who, and why; ends with a zero; fills the cache lines of a Gate
};

/// Rounds of agreement among the ranks of one node, in a node window: every rank writes its words
/// into its own slot and says so; the leader folds them (asking the other nodes if there are any)
/// and releases all. Waiting spins briefly, then sleeps on a futex of the window: a raw SYS_futex
/// without the private flag, since libstdc++'s atomic::wait never wakes another process.
class Meeting {
public:
  struct Member {
    std::string name; ///< for messages
    std::int64_t pid;
  };

  /// Bytes of window that a node of `ranks` ranks needs.
  [[nodiscard]] static std::int64_t bytes_for(int ranks) noexcept;

  /// @param window at least bytes_for(members.size()) zeroed bytes, shared by the node
  /// @param place this rank's position on the node, 0 is the leader
  /// @param members the node's ranks
  Meeting(NodeWindow window, int place, std::vector<Member> members, const CommOptions& options);
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;
  /// Who still waits for this rank, waits no longer.
  ~Meeting();

  /// One round. `fold` is called by the leader with the node's outcome and returns the job's.
  Agreement agree(const Words& words, const std::function<Agreement(const Agreement&)>& fold);
  void leave(const std::string& reason) noexcept;
  void yield_at_once(bool on) noexcept { yield_ = on; }
  [[nodiscard]] bool yields() const noexcept { return yield_; }
  /// Why nobody need wait any longer, once a rank has left or its process has ended, which is
  /// looked for twice a second. What has arrived before counts: look for it again before throwing
  /// this.
  [[nodiscard]] std::optional<Error> left() const;
  /// left(), unless who left took part in the round under way, which comes to its end then.
  [[nodiscard]] std::optional<Error> round_lost() const;
  /// Whether somebody has left, and the process of this node's leader has ended: others must tell
  /// the other nodes.
  [[nodiscard]] bool leader_has_ended() const noexcept;
  /// Whether the first that left did not say so itself.
  [[nodiscard]] bool left_silently() const noexcept;
  /// What other nodes shall be told, once a rank has left.
  [[nodiscard]] std::optional<Departure> departure() const;
  /// That a rank of another node has left.
  void hear(const Departure& departure) noexcept;
  /// `listen` is called twice a second by agree() on this rank while it waits.
  void listen_by(std::function<void()> listen) { listen_ = std::move(listen); }
  /// Names whom this rank waits for, when patience is at its end again.
  void name_absent(std::chrono::steady_clock::time_point since,
                   const std::function<std::string()>& absent) {
    absence_.look(since, absent);
  }

private:
  struct Gate;
  struct Slot;
  Agreement gather_node(std::uint32_t round);
  template <class Ready>
  bool stays_awake(std::chrono::steady_clock::time_point since, Ready ready);
  template <class Ready>
  void wait(std::atomic<std::uint32_t>& word, std::atomic<std::uint32_t>& asleep,
            std::uint32_t asleep_mark, int whom, Ready ready);
  void say_left(int place, const std::string& reason) const noexcept;
  void publish(const Departure& departure, std::uint32_t who) const noexcept;
  void find_ended() const noexcept;
  void wake_waiting() const noexcept;

  NodeWindow window_;
  Gate* gate_;
  Slot* slots_;
  int place_;
  std::vector<Member> members_;
  Absence absence_;
  std::function<void()> listen_;
  std::atomic<std::uint32_t> round_{0};     // the one under way, or over
  std::atomic<std::uint32_t> completed_{0}; // the last one that is over
  bool yield_ = false;
  int crowded_ = 0;                             // waits that sleep at once
  mutable std::atomic<std::int64_t> looked_ns_; // for processes that have ended
};

} // namespace cleave
