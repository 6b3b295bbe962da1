#include "meeting.hpp"

#include "futex.hpp"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace cleave {

using Clock = std::chrono::steady_clock;

// Two cache lines each: the adjacent-line prefetcher pairs them.
struct alignas(128) Meeting::Gate {
  std::atomic<std::uint32_t> released; // the last round that everybody may leave
  std::atomic<std::uint32_t> asleep;   // members sleeping on `released`
  std::atomic<std::uint32_t> bell;     // the leader sleeps on it
  std::atomic<std::uint32_t> awaited;  // 1 + place of the rank that the leader sleeps for
  Agreement outcome;
  alignas(128) std::atomic<std::uint32_t> leaving; // not 0: somebody writes, or wrote, the reason
  std::atomic<std::uint32_t> left; // 1 + place of the first rank that left; publishes the reason
  std::array<char, 248> reason;    // zeroed by the window
};

struct alignas(128) Meeting::Slot {
  std::atomic<std::uint32_t> arrived; // this rank's round
  Words words;
};

namespace {

constexpr int spins = 32; // between two looks at the clock
constexpr auto spin_time = std::chrono::microseconds(50);
constexpr auto nap = std::chrono::milliseconds(500); // between looks at who has left

void sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  futex_wait(word, value, FUTEX_BITSET_MATCH_ANY, Clock::now() + nap);
}

void wake_all(std::atomic<std::uint32_t>& word) noexcept {
  futex_wake(word, FUTEX_BITSET_MATCH_ANY);
}

void fold(Agreement& into, const Words& words) noexcept {
  for (std::size_t i = 0; i < words.size(); ++i) {
    into.lowest[i] = std::min(into.lowest[i], words[i]);
    into.highest[i] = std::max(into.highest[i], words[i]);
  }
}

} // namespace

std::int64_t Meeting::bytes_for(int ranks) noexcept {
  return static_cast<std::int64_t>(sizeof(Gate)) + ranks * static_cast<std::int64_t>(sizeof(Slot));
}

Meeting::Meeting(NodeWindow window, int place, std::vector<std::string> names,
                 const CommOptions& options)
    : window_(std::move(window)), gate_(reinterpret_cast<Gate*>(window_.bytes().data())),
      slots_(reinterpret_cast<Slot*>(window_.bytes().data() + sizeof(Gate))), place_(place),
      names_(std::move(names)), patience_(options.patience_s), on_absent_(options.on_absent) {}

template <class Ready, class Absent>
void Meeting::wait(std::atomic<std::uint32_t>& word, std::atomic<std::uint32_t>& asleep,
                   std::uint32_t asleep_mark, Ready ready, Absent absent) {
  const auto since = Clock::now();
  do {
    for (int i = 0; i < spins; ++i) {
      if (ready())
        return;
      if (yield_)
        sched_yield();
      else
        pause();
    }
  } while (Clock::now() - since < spin_time);
  while (true) {
    // Sequentially consistent on both sides: either we see the news, or its bringer sees us asleep.
    const std::uint32_t value = word.load();
    if (asleep_mark != 0)
      asleep.store(asleep_mark);
    else
      asleep.fetch_add(1);
    const bool come = ready();
    if (!come)
      sleep_on(word, value);
    if (asleep_mark != 0)
      asleep.store(0);
    else
      asleep.fetch_sub(1);
    if (come || ready())
      return;
    if (const auto gone = left(); gone && !ready())
      throw *gone;
    name_absent(since, absent);
  }
}

Agreement Meeting::gather_node(std::uint32_t round) {
  Agreement outcome{.lowest = slots_[0].words, .highest = slots_[0].words};
  for (std::size_t p = 1; p < names_.size(); ++p) {
    Slot& slot = slots_[p];
    wait(
        gate_->bell, gate_->awaited, static_cast<std::uint32_t>(p + 1),
        [&] { return slot.arrived.load() == round; }, [&] { return names_[p]; });
    fold(outcome, slot.words);
  }
  return outcome;
}

Agreement Meeting::agree(const Words& words,
                         const std::function<Agreement(const Agreement&)>& fold_nodes) {
  const std::uint32_t round = ++round_;
  Slot& mine = slots_[place_];
  mine.words = words;
  if (place_ != 0) {
    mine.arrived.store(round);
    if (gate_->awaited.load() == static_cast<std::uint32_t>(place_ + 1)) {
      gate_->bell.fetch_add(1);
      wake_all(gate_->bell);
    }
    wait(
        gate_->released, gate_->asleep, 0, [&] { return gate_->released.load() == round; },
        [&] { return names_[0] + " or a rank that it waits for"; });
    return gate_->outcome;
  }
  // Nobody reads the outcome of the last round any more: all have arrived in this one.
  const Agreement outcome = fold_nodes(gather_node(round));
  gate_->outcome = outcome;
  gate_->released.store(round);
  if (gate_->asleep.load() != 0)
    wake_all(gate_->released);
  return outcome;
}

void Meeting::leave(const std::string& reason) noexcept {
  if (gate_->leaving.exchange(1) == 0) { // the first alone says why
    std::copy_n(reason.begin(), std::min(reason.size(), gate_->reason.size() - 1),
                gate_->reason.begin());
    gate_->left.store(static_cast<std::uint32_t>(place_ + 1));
  }
  gate_->bell.fetch_add(1);
  wake_all(gate_->bell);
  wake_all(gate_->released);
}

std::optional<Error> Meeting::left() const {
  const std::uint32_t left = gate_->left.load();
  if (left == 0 || left == static_cast<std::uint32_t>(place_ + 1))
    return std::nullopt;
  return Error(ErrorKind::lost_peer,
               names_[left - 1] + " has left: " + std::string(gate_->reason.data()));
}

void Meeting::name_absent(Clock::time_point since, const std::function<std::string()>& absent) {
  const auto now = Clock::now();
  if (now - std::max(since, named_) < patience_)
    return;
  named_ = now;
  if (on_absent_) {
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - since).count();
    on_absent_(names_[static_cast<std::size_t>(place_)] + " has waited " + std::to_string(waited) +
               " s for " + absent());
  }
}

} // namespace cleave
