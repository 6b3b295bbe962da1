#include "cleave/engine.hpp"

#include "cleave/discover.hpp"
#include "cleave/serialize.hpp"

#include <cstdlib>
#include <cstring>
#include <utility>

namespace cleave::detail {

struct alignas(128) Engine::Shared {
  std::atomic<std::uint32_t> stop; // number of the last call that failed
};

/// What one rank shows to its node.
struct alignas(128) Engine::Slot {
  std::atomic<std::int64_t> done; // units of the current call
  std::uint64_t size;
  std::array<std::byte, 4096 - 16> bytes; // of exchange()
};

namespace {

constexpr std::int64_t look_ns = 20'000; // look around about this often
constexpr std::int64_t progress_ns = 100'000'000;
constexpr std::int64_t largest_group = std::int64_t{1} << 14;

std::vector<int> threads_of(const Layout& layout) {
  std::vector<int> threads;
  for (const RankPlace& rank : layout.ranks())
    threads.push_back(rank.threads);
  return threads;
}

bool overlap(const std::vector<int>& a, const std::vector<int>& b) {
  return std::ranges::any_of(a, [&b](int cpu) { return std::ranges::binary_search(b, cpu); });
}

/// One CPU a thread where the launcher gave the rank just as many for itself; else the kernel
/// knows better: two jobs that share a machine must not choose the same CPUs.
std::vector<int> cpus_to_pin(const Layout& layout, int rank) {
  const RankPlace& mine = layout.ranks()[static_cast<std::size_t>(rank)];
  if (mine.cpus.size() != mine.cores.size() || std::cmp_not_equal(mine.cpus.size(), mine.threads))
    return {};
  for (std::size_t r = 0; r < layout.ranks().size(); ++r) {
    const RankPlace& other = layout.ranks()[r];
    if (std::cmp_not_equal(r, rank) && other.node == mine.node && overlap(other.cpus, mine.cpus))
      return {};
  }
  return mine.cpus;
}

RunInfo info_of(const Comm& comm, const Layout& layout, const PoolOptions& options) {
  RunInfo info;
  info.schedule = options.schedule.text();
  info.sync_method = comm.nodes() == 1 ? "common start on the node's clock"
                                       : "common start, clocks compared by round trips";
  info.ranks = comm.size();
  info.nodes = comm.nodes();
  info.threads = layout.threads();
  info.oversubscribed = layout.oversubscribed();
  for (int r = 0; r < comm.size(); ++r) {
    const RankPlace& rank = layout.ranks()[static_cast<std::size_t>(r)];
    info.rank_threads.push_back(rank.threads);
    info.rank_node.push_back(rank.node);
    info.rank_cpus.push_back(cpu_list(rank.cpus));
    info.rank_pid.push_back(rank.pid);
  }
  for (const NodePlace& node : layout.nodes())
    info.node_name.push_back(node.name);
  return info;
}

/// `comm`, when all of its ranks want the same.
Comm agreed(Comm comm, const PoolOptions& options) {
  const std::string schedule = options.schedule.text();
  const Agreement said =
      comm.agree({std::hash<std::string>()(schedule), options.seed,
                  static_cast<std::uint64_t>(options.data_path), options.trace ? 1U : 0U,
                  static_cast<std::uint64_t>(comm.options().message_limit)});
  constexpr std::array names = {"schedule", "seed", "data_path", "trace", "message_limit"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (said.lowest[i] != said.highest[i])
      throw Error(ErrorKind::bad_input,
                  "differs between ranks: give every rank the same PoolOptions", {"", 0, names[i]});
  return comm;
}

/// The tasks of leaves [chunk.first, chunk.last).
TaskRange tasks_in(const Leaves& leaves, TaskRange chunk) {
  return {leaves.tasks_of(chunk.first).first, leaves.tasks_of(chunk.last - 1).last};
}

} // namespace

Engine::Engine(Comm comm, PoolOptions options)
    : comm_(agreed(std::move(comm), options)), options_(std::move(options)),
      layout_(discover(comm_, options_.threads)), workers_(threads_of(layout_)),
      path_(choose_path(comm_, options_.data_path)), windows_(comm_),
      memory_(comm_.window(
          static_cast<std::int64_t>(sizeof(Shared) + comm_.node_ranks().size() * sizeof(Slot)))),
      place_(static_cast<std::size_t>(std::ranges::find(comm_.node_ranks(), comm_.rank()) -
                                      comm_.node_ranks().begin())),
      hands_(static_cast<std::size_t>(workers_.threads_of(comm_.rank()))),
      exceptions_(std::uncaught_exceptions()) {
  if (memory_.bytes().empty())
    throw Error(ErrorKind::io, "no room for memory shared by the node's ranks");
  start_team();
  stop_ = &reinterpret_cast<Shared*>(memory_.bytes().data())->stop;
  for (int thread = 0; thread < threads(); ++thread)
    crew_.emplace_back(comm_.rank(), thread, workers_.first_of(comm_.rank()) + thread);
  comm_.yield_at_once(layout_.oversubscribed());
  timings_.info = info_of(comm_, layout_, options_);
  clock_.restart(Phase::setup, monotonic_ns());
}

/// Where one rank cannot have its threads, no rank goes on.
void Engine::start_team() {
  together(comm_, [this] {
    team_.emplace(workers_.threads_of(comm_.rank()), cpus_to_pin(layout_, comm_.rank()));
  });
}

Engine::~Engine() {
  if (std::uncaught_exceptions() > exceptions_)
    comm_.leave("an exception ended its use of the Pool");
}

Engine::Slot& Engine::slot(std::size_t place) const {
  return reinterpret_cast<Slot*>(memory_.bytes().data() + sizeof(Shared))[place];
}

RootPart Engine::open(const CallForm& form, const std::function<RootPart()>& prepare) {
  clock_.enter(Phase::scatter);
  ++call_;
  RootPart root;
  std::exception_ptr refusal;
  if (comm_.is_root()) {
    try {
      root = prepare();
    } catch (...) {
      refusal = std::current_exception();
    }
  }
  const std::uint64_t mark =
      std::uint64_t{call_} << 32 |
      ((form.type * 31 + std::hash<std::string_view>()(form.verb)) & 0xffff'ffffU);
  const Agreement said = comm_.agree({mark, static_cast<std::uint64_t>(form.tasks),
                                      static_cast<std::uint64_t>(root.tasks), root.inputs,
                                      root.results, refusal ? 1U : 0U});
  if (said.lowest[0] != said.highest[0] || said.lowest[1] != said.highest[1])
    disagree(form);
  if (form.tasks < 0 && form.tasks != tasks_of_root)
    throw Error(ErrorKind::bad_input, std::string(form.verb) + " of " + std::to_string(form.tasks) +
                                          " tasks: their number must be 0 or more");
  if (said.highest[5] != 0)
    raise_first(comm_, refusal);
  units_ = 0;
  return {static_cast<std::int64_t>(said.highest[2]), said.highest[3], said.highest[4]};
}

void Engine::run_team(std::int64_t units, const std::function<void(Worker&)>& work) {
  units_ = units;
  clock_.enter(Phase::compute);
  slot(place_).done.store(0, std::memory_order_relaxed);
  progress_ns_ = monotonic_ns();
  team_->run([&](int thread) {
    Worker& worker = crew_[static_cast<std::size_t>(thread)];
    worker.begin_call(options_.seed, call_, stop_);
    hands_[static_cast<std::size_t>(thread)].group = 1;
    work(worker);
  });
  clock_.enter(Phase::wait);
}

void Engine::compute(const ChunkSequence& sequence, const Leaves& leaves,
                     const std::function<void(Worker&, TaskRange)>& body) {
  Chunks chunks(sequence, workers_, comm_.rank());
  run_team(sequence.tasks(), [&](Worker& worker) {
    while (const auto chunk = chunks.next(worker.thread()))
      run_chunk(worker, *chunk, leaves, body);
  });
}

void Engine::compute_own(TaskRange own, const Leaves& leaves,
                         const std::function<void(Worker&, TaskRange)>& body) {
  const ChunkSequence sequence(own.size(), threads(), options_.schedule);
  run_team(leaves.count(), [&](Worker& worker) {
    for_chunks(sequence, worker.thread(), [&](TaskRange chunk) {
      run_chunk(worker, {own.first + chunk.first, own.first + chunk.last}, leaves, body);
    });
  });
}

void Engine::run_chunk(Worker& worker, TaskRange chunk, const Leaves& leaves,
                       const std::function<void(Worker&, TaskRange)>& body) {
  Hand& hand = hands_[static_cast<std::size_t>(worker.thread())];
  const TaskRange tasks = tasks_in(leaves, chunk);
  const std::int64_t begin = monotonic_ns();
  hand.looked_ns = begin;
  try {
    body(worker, chunk);
  } catch (...) {
    fail(worker, tasks.first, std::current_exception());
  }
  const std::int64_t end = monotonic_ns();
  hand.busy_ns += end - begin;
  hand.tasks += static_cast<std::uint64_t>(tasks.size());
  ++hand.chunks;
  if (options_.trace)
    hand.trace.push_back({repetition_, comm_.rank(), worker.thread(), tasks.first, tasks.size(),
                          static_cast<double>(begin - start_ns_) * 1e-9,
                          static_cast<double>(end - start_ns_) * 1e-9});
}

void Engine::look_around(Worker& worker, std::int64_t done) {
  Hand& hand = hands_[static_cast<std::size_t>(worker.thread())];
  const std::int64_t now = monotonic_ns();
  const std::int64_t spent = now - std::exchange(hand.looked_ns, now);
  if (spent < look_ns)
    hand.group = std::min(2 * hand.group, largest_group);
  else if (spent > 4 * look_ns)
    hand.group = std::max(hand.group / 2, std::int64_t{1});
  slot(place_).done.fetch_add(done, std::memory_order_relaxed);
  if (options_.on_progress && worker.index() == 0 && now - progress_ns_ > progress_ns) {
    progress_ns_ = now;
    report_progress();
  }
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

void Engine::count_bytes(std::uint64_t in, std::uint64_t out) {
  counters_.bytes_in += in;
  counters_.bytes_out += out;
}

std::vector<std::vector<std::byte>> Engine::exchange(std::span<const std::byte> mine) {
  Slot& own = slot(place_);
  const bool small = comm_.nodes() == 1 && mine.size() <= own.bytes.size();
  if (small) {
    own.size = mine.size();
    std::ranges::copy(mine, own.bytes.begin());
  }
  if (comm_.agree({small ? 1U : 0U}).lowest[0] == 0)
    return comm_.all_gather_blobs(mine);
  std::vector<std::vector<std::byte>> all;
  for (std::size_t p = 0; p < comm_.node_ranks().size(); ++p)
    all.emplace_back(slot(p).bytes.begin(),
                     slot(p).bytes.begin() + static_cast<std::ptrdiff_t>(slot(p).size));
  return all;
}

} // namespace cleave::detail
