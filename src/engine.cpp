#include "cleave/engine.hpp"

#include "cleave/discover.hpp"
#include "cleave/serialize.hpp"

#include <cxxabi.h>

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
constexpr std::int64_t largest_group = std::int64_t{1} << 20;

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

std::string demangled(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : mangled;
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

void put(Packer& packer, const TaskFailure& failure) {
  packer.put(failure.task);
  packer.put(failure.rank);
  packer.put(failure.thread);
  packer.put(failure.host);
  packer.put(failure.type);
  packer.put(failure.what);
}

TaskFailure get_failure(Unpacker& from) {
  TaskFailure failure;
  failure.task = from.get<std::int64_t>();
  failure.rank = from.get<int>();
  failure.thread = from.get<int>();
  failure.host = from.get<std::string>();
  failure.type = from.get<std::string>();
  failure.what = from.get<std::string>();
  return failure;
}

/// An exception that is no Error, as root tells the others of it.
void put_foreign(Packer& packer, const std::string& what) {
  packer.put(ErrorKind::failed_task);
  packer.put("root failed: " + what);
  packer.put(ErrorPlace().file);
  packer.put(ErrorPlace().line);
  packer.put(ErrorPlace().key);
}

/// The tasks of leaves [chunk.first, chunk.last).
TaskRange tasks_in(const Leaves& leaves, TaskRange chunk) {
  return {leaves.tasks_of(chunk.first).first, leaves.tasks_of(chunk.last - 1).last};
}

} // namespace

Engine::Engine(Comm comm, PoolOptions options)
    : comm_(std::move(comm)), options_(std::move(options)),
      layout_(discover(comm_, options_.threads)), workers_(threads_of(layout_)),
      path_(choose_path(comm_, options_.data_path)), windows_(comm_),
      memory_(comm_.window(
          static_cast<std::int64_t>(sizeof(Shared) + comm_.node_ranks().size() * sizeof(Slot)))),
      team_(workers_.threads_of(comm_.rank()), cpus_to_pin(layout_, comm_.rank())),
      place_(static_cast<std::size_t>(std::ranges::find(comm_.node_ranks(), comm_.rank()) -
                                      comm_.node_ranks().begin())),
      hands_(static_cast<std::size_t>(team_.threads())), exceptions_(std::uncaught_exceptions()) {
  if (memory_.bytes().empty())
    throw Error(ErrorKind::io, "no room for memory shared by the node's ranks");
  stop_ = &reinterpret_cast<Shared*>(memory_.bytes().data())->stop;
  for (int thread = 0; thread < team_.threads(); ++thread)
    crew_.emplace_back(comm_.rank(), thread, workers_.first_of(comm_.rank()) + thread);
  comm_.yield_at_once(layout_.oversubscribed());
  timings_.info = info_of(comm_, layout_, options_);
  clock_.restart(Phase::setup, monotonic_ns());
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
    rethrow_roots(refusal);
  units_ = 0;
  return {static_cast<std::int64_t>(said.highest[2]), said.highest[3], said.highest[4]};
}

void Engine::disagree(const CallForm& form) {
  std::string mine = "rank " + std::to_string(comm_.rank()) + " makes call " +
                     std::to_string(call_) + ", " + form.verb;
  if (form.tasks != tasks_of_root)
    mine += " of " + std::to_string(form.tasks) + " tasks";
  const std::vector<std::string> all = comm_.all_gather(mine);
  const auto what = [](const std::string& text) { return text.substr(text.find(" makes ")); };
  const auto other = std::ranges::find_if(
      all, [&](const std::string& text) { return what(text) != what(all[0]); });
  throw Error(ErrorKind::lost_peer,
              "the ranks do not make the same collective call: " +
                  (other == all.end() ? all[0] + ", with types that differ between ranks"
                                      : all[0] + ", but " + *other));
}

void Engine::rethrow_roots(const std::exception_ptr& mine) {
  Packer packer;
  if (mine) {
    try {
      std::rethrow_exception(mine);
    } catch (const Error& error) {
      packer.put(error.kind());
      packer.put(error.message());
      packer.put(error.place().file);
      packer.put(error.place().line);
      packer.put(error.place().key);
    } catch (const std::exception& error) {
      put_foreign(packer, demangled(typeid(error).name()) + ": " + error.what());
    } catch (...) {
      put_foreign(packer, demangled(abi::__cxa_current_exception_type()->name()));
    }
  }
  const std::string text = comm_.broadcast(
      std::string(reinterpret_cast<const char*>(packer.bytes().data()), packer.bytes().size()));
  Unpacker from(std::as_bytes(std::span(text)));
  const auto kind = from.get<ErrorKind>();
  auto message = from.get<std::string>();
  auto file = from.get<std::string>();
  const int line = from.get<int>();
  throw Error(kind, message, {std::move(file), line, from.get<std::string>()});
}

void Engine::run_team(std::int64_t units, const std::function<void(Worker&)>& work) {
  units_ = units;
  clock_.enter(Phase::compute);
  slot(place_).done.store(0, std::memory_order_relaxed);
  progress_ns_ = monotonic_ns();
  team_.run([&](int thread) {
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
  const ChunkSequence sequence(own.size(), team_.threads(), options_.schedule);
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

TaskFailure Engine::failure_of(const Worker& worker, std::int64_t task,
                               const std::exception_ptr& why) const {
  TaskFailure failure{.task = task,
                      .rank = worker.rank(),
                      .thread = worker.thread(),
                      .host = comm_.host_of(worker.rank()),
                      .type = {},
                      .what = {}};
  try {
    std::rethrow_exception(why);
  } catch (const std::exception& error) {
    failure.type = demangled(typeid(error).name());
    failure.what = error.what();
  } catch (...) {
    failure.type = demangled(abi::__cxa_current_exception_type()->name());
  }
  return failure;
}

void Engine::fail(const Worker& worker, std::int64_t task, const std::exception_ptr& why,
                  bool stop) {
  TaskFailure failure = failure_of(worker, task, why);
  if (stop)
    stop_->store(call_, std::memory_order_relaxed); // a hint: join() carries the news
  const std::lock_guard lock(failures_mutex_);
  failures_.push_back(std::move(failure));
}

std::vector<TaskFailure> Engine::join() {
  const std::vector<TaskFailure> mine = std::exchange(failures_, {});
  const bool failed = comm_.agree({mine.size()}).highest[0] != 0;
  clock_.enter(Phase::gather);
  std::vector<TaskFailure> all;
  if (!failed)
    return all;
  Packer packer;
  for (const TaskFailure& failure : mine)
    put(packer, failure);
  for (const auto& blob : comm_.all_gather_blobs(packer.bytes()))
    for (Unpacker from(blob); !from.empty();)
      all.push_back(get_failure(from));
  std::ranges::sort(all, {}, &TaskFailure::task);
  return all;
}

void Engine::join_or_throw() {
  std::vector<TaskFailure> failures = join();
  if (failures.empty())
    return;
  clock_.enter(Phase::compute);
  throw MapError(std::move(failures));
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
