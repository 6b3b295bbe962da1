/// @file
/// The Engine's computing part: workers take chunks, look around, and learn how fast they are.
#include "cleave/serialize.hpp"
#include "engine_memory.hpp"
#include "no_agreement.hpp"
#include "schedule_pacing.hpp"
#include "watchdog.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace cleave::detail {
namespace {

constexpr std::int64_t look_ns = 20'000; // look around about this often
constexpr std::int64_t progress_ns = 100'000'000;
constexpr std::int64_t largest_group = std::int64_t{1} << 14;

/// The tasks of leaves [chunk.first, chunk.last).
TaskRange tasks_in(const Leaves& leaves, TaskRange chunk) {
  return {leaves.tasks_of(chunk.first).first, leaves.tasks_of(chunk.last - 1).last};
}

constexpr std::size_t most_experiences = 256;

/// Keeps the dearest.
void remember(std::vector<CostedChunk>& dear, const CostedChunk& chunk) {
  dear.push_back(chunk);
  if (dear.size() <= pacing::most_dear)
    return;
  std::swap(*std::ranges::min_element(dear, {}, &CostedChunk::cost), dear.back());
  dear.pop_back();
}

std::jthread start_beside_team(const std::function<void()>& work) {
  try {
    return std::jthread(work);
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::bad_input,
                std::string("cannot start a thread beside the workers: ") + error.what());
  }
}

bool weighs(Technique technique) {
  return technique == Technique::weighted || technique == Technique::adaptive;
}

} // namespace

void Engine::run_team(std::int64_t units, const std::function<void(Worker&)>& work) {
  key_.units = units;
  units_ = goes_on_ ? chunks_units_ : units;
  clock_.enter(Phase::compute);
  progress_ns_ = monotonic_ns();
  std::optional<Watchdog> watchdog;
  if (timeout_.count() > 0) {
    for (Watch& watch : watches_)
      watch.time_out_after(timeout_);
    attempt([&] { // no rank may leave the call alone
      watchdog.emplace(watches_, [this](const StuckTask& stuck) {
        const auto silence = supply_ ? supply_->hold() : std::unique_lock<std::mutex>();
        end_job(comm_, options_, stuck);
      });
    });
  }
  {
    const NoAgreement no_other_calls(
        comm_, "a task runs: it cannot make a collective call; make it after the call that runs "
               "the task, or run the tasks one by one in an Executor");
    team_->run([&](int thread) {
      const auto at = static_cast<std::size_t>(thread);
      crew_[at].begin_call(options_.seed, number(), {stop_, call_},
                           watchdog ? &watches_[at] : nullptr);
      hands_[at].group = 1;
      work(crew_[at]);
    });
  }
  clock_.enter(Phase::wait);
  if (goes_on_)
    forget_dear(); // the next call of this form may have all to do
  end_where_stopping();
}

void Engine::compute(const ChunkSequence& sequence, const RootPart& root, const Leaves& leaves,
                     const Body& body) {
  if (!draws(sequence))
    return pull_all(Chunks(sequence, workers_.first_of(comm_.rank()), threads()), sequence, leaves,
                    body);
  if (comm_.nodes() > 1)
    return compute_supplied(sequence, leaves, body);
  if (!root.chunks.empty())
    return pull_all(Chunks(root.chunks, lanes(call_).front()), sequence, leaves, body);
  pull_all(Chunks(sequence, lanes(call_), first_on_node_, threads()), sequence, leaves, body);
}

/// While the team computes, a thread of the node's leader sees to its super-chunks.
void Engine::compute_supplied(const ChunkSequence& sequence, const Leaves& leaves,
                              const Body& body) {
  std::exception_ptr failure;
  {
    std::jthread service;
    try {
      if (comm_.is_leader())
        attempt([&] {
          service = start_beside_team([&] {
            try {
              supply_->run();
            } catch (...) {
              failure = std::current_exception();
            }
          });
        });
      if (comm_.is_leader() && !service.joinable())
        supply_->run(); // the call has failed, which the other nodes are told
      pull_all(Chunks(*supply_, threads()), sequence, leaves, body);
    } catch (...) {
      supply_->give_up();
      throw;
    }
  }
  if (failure)
    std::rethrow_exception(failure);
}

void Engine::compute_own(TaskRange own, const Leaves& leaves, const Body& body) {
  const ChunkSequence sequence(own.size(), threads(), options_.schedule);
  // Of this rank's first worker, from which nobody else draws in such a call.
  const auto lane = lanes(call_).subspan(static_cast<std::size_t>(first_on_node_), 1);
  lane.front().next.store(0, std::memory_order_relaxed);
  const Chunks chunks =
      sequence.is_static() ? Chunks(sequence, 0, threads()) : Chunks(sequence, lane, 0, threads());
  pull_all(chunks, sequence, leaves, [&](Worker& worker, TaskRange chunk) {
    body(worker, {own.first + chunk.first, own.first + chunk.last});
  });
  forget_dear();
}

/// Long chunks are of use where the next call draws all by one list.
void Engine::forget_dear() {
  for (Hand& hand : hands_)
    hand.dear.clear();
}

void Engine::pull_all(Chunks chunks, const ChunkSequence& sequence, const Leaves& leaves,
                      const Body& body) {
  run_team(sequence.tasks(),
           [&](Worker& worker) { pull(worker, chunks, sequence.technique(), leaves, body); });
}

void Engine::pull(Worker& worker, Chunks& chunks, Technique technique, const Leaves& leaves,
                  const Body& body) {
  Hand& hand = hands_[static_cast<std::size_t>(worker.thread())];
  begin_pace(hand, worker, technique);
  const bool paced = weighs(technique) || technique == Technique::automatic;
  const bool timed = paced || options_.trace; // a look at the clock costs as much as a draw
  const std::int64_t begin = monotonic_ns();
  hand.looked_ns = begin;
  while (const auto chunk = chunks.next(worker.thread(), hand.pace)) {
    const std::int64_t since = timed ? monotonic_ns() : 0; // the draw may have waited
    run_chunk(worker, hand, tasks_in(leaves, *chunk), [&] { body(worker, *chunk); });
    if (!timed)
      continue;
    const std::int64_t now = monotonic_ns();
    if (options_.trace)
      hand.trace.push_back(trace_row(worker, tasks_in(leaves, *chunk), since, now));
    if (paced)
      keep_pace(hand, worker, technique, *chunk, now - since);
  }
  std::erase_if(hand.dear, [least = pacing::dear_share * static_cast<double>(hand.paced_ns)](
                               const CostedChunk& chunk) { return chunk.cost < least; });
  hand.busy_ns += monotonic_ns() - begin;
  slot(place_).done.fetch_add(std::exchange(hand.since, 0), std::memory_order_relaxed);
}

template <class Work>
void Engine::run_chunk(Worker& worker, Hand& hand, TaskRange tasks, Work work) {
  try {
    work();
  } catch (...) {
    fail(worker, tasks.first, std::current_exception());
  }
  hand.tasks += static_cast<std::uint64_t>(tasks.size());
  ++hand.chunks;
}

void Engine::count(const Worker& worker, TaskRange tasks, std::int64_t begin_ns,
                   std::int64_t end_ns) {
  Hand& hand = hands_[static_cast<std::size_t>(worker.thread())];
  note_longest(end_ns - begin_ns);
  hand.busy_ns += end_ns - begin_ns;
  hand.tasks += static_cast<std::uint64_t>(tasks.size());
  ++hand.chunks;
  if (options_.trace)
    hand.trace.push_back(trace_row(worker, tasks, begin_ns, end_ns));
}

TraceRow Engine::trace_row(const Worker& worker, TaskRange tasks, std::int64_t begin_ns,
                           std::int64_t end_ns) const {
  return {repetition_,
          comm_.rank(),
          worker.thread(),
          tasks.first,
          tasks.size(),
          static_cast<double>(begin_ns - start_ns_) * 1e-9,
          static_cast<double>(end_ns - start_ns_) * 1e-9};
}

void Engine::begin_pace(Hand& hand, const Worker& worker, Technique technique) {
  hand.paced_ns = hand.paced_units = hand.weighed_ns = 0;
  hand.pace = {};
  hand.learns = technique == Technique::automatic;
  if (technique == Technique::automatic)
    hand.pace.most = 1; // until a chunk has told how long tasks take
  if (technique == Technique::weighted && !options_.weights.empty())
    hand.weight = options_.weights[static_cast<std::size_t>(worker.index())] / mean_weight_;
  if (weighs(technique))
    hand.pace.weight = hand.weight;
}

void Engine::keep_pace(Hand& hand, const Worker& worker, Technique technique, TaskRange chunk,
                       std::int64_t spent_ns) {
  hand.paced_ns += spent_ns;
  hand.paced_units += chunk.size();
  if (technique == Technique::automatic) {
    if (spent_ns > pacing::dear_ns)
      remember(hand.dear, {chunk, static_cast<double>(spent_ns)});
    hand.pace.most = pacing::most_after(chunk.size(), static_cast<double>(spent_ns));
    return;
  }
  if (hand.paced_ns - hand.weighed_ns < pacing::weigh_ns)
    return;
  hand.weighed_ns = hand.paced_ns;
  weigh(hand, worker);
  if (technique == Technique::adaptive)
    hand.pace.weight = hand.weight;
}

/// Shows this worker's speed to its node and compares it with those of the others.
void Engine::weigh(Hand& hand, const Worker& worker) {
  const auto own =
      static_cast<std::size_t>(first_on_node_) + static_cast<std::size_t>(worker.thread());
  const double rate = static_cast<double>(hand.paced_units) / static_cast<double>(hand.paced_ns);
  gauge(own).rate.store(static_cast<float>(rate), std::memory_order_relaxed);
  gauge(own).call.store(call_, std::memory_order_release);
  double sum = 0;
  int known = 0;
  for (int w = 0; w < layout_.workers_on(comm_.node()); ++w)
    if (const Gauge& other = gauge(static_cast<std::size_t>(w));
        other.call.load(std::memory_order_acquire) == call_) {
      sum += static_cast<double>(other.rate.load(std::memory_order_relaxed));
      ++known;
    }
  hand.weight = pacing::weight_of(rate, sum, known);
}

/// Where two workers meet, one is as good.
void Engine::note_longest(std::int64_t spent_ns) noexcept {
  std::atomic<std::int64_t>& longest = shared().longest_ns;
  if (spent_ns > longest.load(std::memory_order_relaxed))
    longest.store(spent_ns, std::memory_order_relaxed);
}

std::chrono::nanoseconds Engine::longest_task() const noexcept {
  return std::chrono::nanoseconds(shared().longest_ns.load(std::memory_order_relaxed));
}

void Engine::look_around(const Worker& worker, Hand& hand) {
  const std::int64_t now = monotonic_ns();
  const std::int64_t spent = now - std::exchange(hand.looked_ns, now);
  note_longest(spent);
  if (spent < look_ns)
    hand.group = std::min(2 * hand.group, largest_group);
  else if (spent > 4 * look_ns)
    hand.group = std::max(hand.group / 2, std::int64_t{1});
  slot(place_).done.fetch_add(std::exchange(hand.since, 0), std::memory_order_relaxed);
  if (checkpoint_ != nullptr && checkpoint_->stopping())
    stop_->store(call_, std::memory_order_relaxed);
  if (options_.on_progress && worker.index() == 0 && now - progress_ns_ > progress_ns) {
    progress_ns_ = now;
    report_progress();
  }
}

/// All hear of the long chunks, for the next call of this form.
void Engine::learn() {
  Packer packer;
  std::int64_t ns = 0;
  std::int64_t units = 0;
  for (Hand& hand : hands_) {
    ns += hand.paced_ns;
    units += hand.paced_units;
  }
  packer.put(std::array{ns, units});
  for (Hand& hand : hands_)
    for (const CostedChunk& chunk : std::exchange(hand.dear, {}))
      packer.put(chunk);
  Experience all;
  double rest_ns = 0;
  std::int64_t rest = 0;
  const auto add = [&](std::span<const std::byte> blob) {
    Unpacker from(blob);
    const auto told = from.get<std::array<std::int64_t, 2>>();
    rest_ns += static_cast<double>(told[0]);
    rest += told[1];
    all.units += told[1];
    while (!from.empty()) {
      const auto& chunk = all.dear.emplace_back(from.get<CostedChunk>());
      rest_ns -= chunk.cost;
      rest -= chunk.tasks.size();
    }
  };
  for (const std::vector<std::byte>& told : exchange(packer.bytes()))
    add(told);
  const double share = rest_ns / (pacing::chunks_a_worker * workers_.count());
  const double each = rest_ns / static_cast<double>(std::max(rest, std::int64_t{1}));
  all.rest =
      static_cast<std::int64_t>(std::max(share, double{pacing::chunk_ns}) / std::max(each, 1.0)) +
      1;
  if (experiences_.size() >= most_experiences)
    experiences_.clear();
  experiences_[form_] = std::move(all);
}

void Engine::report_progress() {
  // The root's node stands for all: it is what we can see without asking.
  std::int64_t done = 0;
  for (std::size_t p = 0; p < comm_.node_ranks().size(); ++p)
    done += slot(p).done.load(std::memory_order_relaxed);
  const double share = static_cast<double>(layout_.workers_on(comm_.node())) / workers_.count();
  const double all = std::max(1.0, static_cast<double>(units_) * share);
  options_.on_progress(std::min(1.0, static_cast<double>(done) / all));
}

} // namespace cleave::detail
