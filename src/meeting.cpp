#include "meeting.hpp"

#include "waiting.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
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
  alignas(128) std::atomic<std::uint32_t> leaving; // 1: somebody writes, or wrote, the departure
  std::atomic<std::uint32_t> left;   // 1 + place of the first rank that left; publishes the rest
  std::atomic<std::uint32_t> missed; // the first round that cannot end; 0: none
  Departure departure;               // zeroed by the window
};

struct alignas(128) Meeting::Slot {
  std::atomic<std::uint32_t> arrived; // this rank's round, or `over`
  Words words;
};

namespace {

constexpr std::uint32_t over = ~0U; // no round: this rank makes no more calls
constexpr int spins = 32;           // between two looks at the clock

void sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  futex_wait(word, value, FUTEX_BITSET_MATCH_ANY, Clock::now() + longest_sleep);
}

void wake_all(std::atomic<std::uint32_t>& word) noexcept {
  futex_wake(word, FUTEX_BITSET_MATCH_ANY);
}

/// Also of a process whose parent has not asked for it.
bool has_ended(std::int64_t pid) noexcept {
  const auto fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0)
    return errno == ESRCH; // else it cannot be told here
  pollfd end{.fd = fd, .events = POLLIN, .revents = 0};
  const bool ended = poll(&end, 1, 0) == 1;
  close(fd);
  return ended;
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

Meeting::Meeting(NodeWindow window, int place, std::vector<Member> members,
                 const CommOptions& options)
    : window_(std::move(window)), gate_(reinterpret_cast<Gate*>(window_.bytes().data())),
      slots_(reinterpret_cast<Slot*>(window_.bytes().data() + sizeof(Gate))), place_(place),
      members_(std::move(members)),
      absence_(options, members_[static_cast<std::size_t>(place)].name),
      looked_ns_(Clock::now().time_since_epoch().count()) {}

Meeting::~Meeting() {
  slots_[place_].arrived.store(over);
  wake_waiting();
}

/// Whether it became ready while we were awake. A yield lasts a time slice of whoever computes
/// meanwhile, and who sleeps is woken at once: where cores are short, do not try again for a while.
template <class Ready>
bool Meeting::stays_awake(Clock::time_point since, Ready ready) {
  if (yield_ && crowded_ > 0) {
    --crowded_;
    return ready();
  }
  for (int i = 0; (!yield_ && i % spins != 0) || Clock::now() - since < spin_time; ++i) {
    if (ready())
      return true;
    if (yield_)
      sched_yield();
    else
      pause();
  }
  crowded_ = 64;
  return false;
}

/// @param whom the place of the rank without which it cannot become ready
template <class Ready>
void Meeting::wait(std::atomic<std::uint32_t>& word, std::atomic<std::uint32_t>& asleep,
                   std::uint32_t asleep_mark, int whom, Ready ready) {
  const auto since = Clock::now();
  if (stays_awake(since, ready))
    return;
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
    if (slots_[whom].arrived.load() == over && !ready())
      say_left(whom, "it makes no more calls");
    if (listen_)
      listen_();
    if (const auto gone = round_lost(); gone && !ready()) {
      if (listen_ && leader_has_ended()) // which cannot tell the other nodes
        listen_();
      throw *gone;
    }
    name_absent(since, [&] {
      return members_[static_cast<std::size_t>(whom)].name +
             (place_ == 0 ? "" : " or a rank that it waits for");
    });
  }
}

Agreement Meeting::gather_node(std::uint32_t round) {
  Agreement outcome{.lowest = slots_[0].words, .highest = slots_[0].words};
  for (std::size_t p = 1; p < members_.size(); ++p) {
    Slot& slot = slots_[p];
    wait(gate_->bell, gate_->awaited, static_cast<std::uint32_t>(p + 1), static_cast<int>(p),
         [&] { return slot.arrived.load() == round; });
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
    wait(gate_->released, gate_->asleep, 0, 0, [&] { return gate_->released.load() == round; });
    completed_ = round;
    return gate_->outcome;
  }
  // Nobody reads the outcome of the last round any more: all have arrived in this one.
  const Agreement outcome = fold_nodes(gather_node(round));
  gate_->outcome = outcome;
  gate_->released.store(round);
  if (gate_->asleep.load() != 0)
    wake_all(gate_->released);
  completed_ = round;
  return outcome;
}

void Meeting::leave(const std::string& reason) noexcept {
  say_left(place_, reason);
}

void Meeting::say_left(int place, const std::string& reason) const noexcept {
  Departure departure{.missed = completed_ + 1, .silent = place == place_ ? 0U : 1U};
  std::size_t at = 0;
  for (const std::string_view part :
       {std::string_view(members_[static_cast<std::size_t>(place)].name),
        std::string_view(" has left: "), std::string_view(reason)})
    at += part.copy(departure.text.data() + at, departure.text.size() - 1 - at);
  publish(departure, static_cast<std::uint32_t>(place + 1));
}

void Meeting::hear(const Departure& departure) noexcept {
  publish(departure, static_cast<std::uint32_t>(members_.size() + 1));
}

/// @param who 1 + place of the rank that has left; beyond the last, it is of another node
void Meeting::publish(const Departure& departure, std::uint32_t who) const noexcept {
  std::uint32_t nobody = 0; // the first alone says why
  const bool first = gate_->leaving.compare_exchange_strong(nobody, 1);
  if (first)
    gate_->departure = departure;
  std::uint32_t missed = gate_->missed.load();
  while ((missed == 0 || departure.missed < missed) &&
         !gate_->missed.compare_exchange_weak(missed, departure.missed))
    ;
  if (first)
    gate_->left.store(who);
  wake_waiting();
}

void Meeting::wake_waiting() const noexcept {
  gate_->bell.fetch_add(1);
  wake_all(gate_->bell);
  wake_all(gate_->released);
}

std::optional<Error> Meeting::left() const {
  find_ended();
  const std::uint32_t left = gate_->left.load();
  if (left == 0 || left == static_cast<std::uint32_t>(place_ + 1))
    return std::nullopt;
  return Error(ErrorKind::lost_peer, gate_->departure.text.data());
}

std::optional<Error> Meeting::round_lost() const {
  auto gone = left();
  return gone && gate_->missed.load() <= round_.load() ? std::move(gone) : std::nullopt;
}

std::optional<Departure> Meeting::departure() const {
  if (gate_->left.load() == 0)
    return std::nullopt;
  Departure departure = gate_->departure;
  departure.missed = gate_->missed.load();
  return departure;
}

bool Meeting::leader_has_ended() const noexcept {
  return place_ != 0 && gate_->left.load() != 0 && has_ended(members_.front().pid);
}

bool Meeting::left_silently() const noexcept {
  return gate_->left.load() != 0 && gate_->departure.silent != 0;
}

/// Not every launcher ends the others when a process is killed.
void Meeting::find_ended() const noexcept {
  const std::int64_t now = Clock::now().time_since_epoch().count();
  std::int64_t looked = looked_ns_.load();
  if (now - looked < std::chrono::nanoseconds(longest_sleep).count() ||
      !looked_ns_.compare_exchange_strong(looked, now))
    return;
  for (std::size_t p = 0; p < members_.size(); ++p)
    if (std::cmp_not_equal(p, place_) && has_ended(members_[p].pid))
      say_left(static_cast<int>(p), "its process has ended");
}

} // namespace cleave
