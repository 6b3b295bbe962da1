#include "cleave/engine.hpp"

#include "cleave/discover.hpp"
#include "engine_memory.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace cleave::detail {

namespace {

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
  const auto weights = std::as_bytes(std::span(options.weights));
  const Agreement said =
      comm.agree({std::hash<std::string>()(schedule), options.seed,
                  static_cast<std::uint64_t>(options.data_path), options.trace ? 1U : 0U,
                  static_cast<std::uint64_t>(comm.options().message_limit),
                  std::hash<std::string_view>()(
                      {reinterpret_cast<const char*>(weights.data()), weights.size()})});
  constexpr std::array names = {"schedule", "seed",          "data_path",
                                "trace",    "message_limit", "weights"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (said.lowest[i] != said.highest[i])
      throw Error(ErrorKind::bad_input,
                  "differs between ranks: give every rank the same PoolOptions", {"", 0, names[i]});
  return comm;
}

/// On every rank alike.
void check_weights(const std::vector<double>& weights, int workers) {
  const auto usable = [](double weight) { return std::isfinite(weight) && weight > 0; };
  if (!weights.empty() &&
      (std::cmp_not_equal(weights.size(), workers) || !std::ranges::all_of(weights, usable)))
    throw Error(ErrorKind::bad_input,
                "must be a number above 0 for each of the " + std::to_string(workers) +
                    " workers, or empty: " + std::to_string(weights.size()) + " are given",
                {"", 0, "weights"});
}

/// Whether a system call a chunk is dear: where chunks are small, and where nobody knows how large
/// they will be but copying all of it takes less than a millisecond.
bool in_crumbs(const ChunkSequence& sequence, std::int64_t tasks, std::int64_t item_bytes) {
  constexpr std::int64_t small_chunk = 4096;
  constexpr std::int64_t small_array = 4 << 20;
  const std::int64_t bytes = std::max(item_bytes, std::int64_t{1});
  if (sequence.technique() == Technique::automatic)
    return tasks < small_array / bytes;
  return sequence.fixed_chunk() > 0 && sequence.fixed_chunk() < small_chunk / bytes;
}

} // namespace

Engine::Engine(Comm comm, PoolOptions options)
    : comm_(agreed(std::move(comm), options)), options_(std::move(options)),
      layout_(discover(comm_, options_.threads)), workers_(threads_of(layout_)),
      path_(choose_path(comm_, options_.data_path)), windows_(comm_),
      memory_(comm_.window(
          static_cast<std::int64_t>(sizeof(Shared) + comm_.node_ranks().size() * sizeof(Slot) +
                                    static_cast<std::size_t>(layout_.workers_on(comm_.node())) *
                                        (sizeof(Gauge) + 2 * sizeof(Lane))))),
      place_(static_cast<std::size_t>(std::ranges::find(comm_.node_ranks(), comm_.rank()) -
                                      comm_.node_ranks().begin())),
      hands_(static_cast<std::size_t>(workers_.threads_of(comm_.rank()))), watches_(hands_.size()),
      exceptions_(std::uncaught_exceptions()) {
  check_weights(options_.weights, workers_.count());
  if (memory_.bytes().empty())
    throw Error(ErrorKind::io, "no room for memory shared by the node's ranks");
  start_team();
  stop_ = &shared().stop;
  for (const int rank : comm_.node_ranks())
    if (rank < comm_.rank())
      first_on_node_ += workers_.threads_of(rank);
  for (int thread = 0; thread < threads(); ++thread)
    crew_.emplace_back(comm_.rank(), thread, workers_.first_of(comm_.rank()) + thread);
  const Supply::Node here = nodes()[static_cast<std::size_t>(comm_.node())];
  mean_weight_ = here.speed / here.workers;
  comm_.yield_at_once(layout_.oversubscribed());
  timings_.info = info_of(comm_, layout_, options_);
  clock_.restart(Phase::setup, monotonic_ns());
}

/// Where one rank cannot have its threads, no rank goes on.
void Engine::start_team() {
  together(comm_, [this] {
    team_.emplace(workers_.threads_of(comm_.rank()), cpus_to_pin(layout_, comm_.rank()),
                  !layout_.oversubscribed());
  });
}

Engine::~Engine() {
  if (std::uncaught_exceptions() > exceptions_)
    comm_.leave("an exception ended its use of the Pool");
}

Engine::Shared& Engine::shared() const {
  return *reinterpret_cast<Shared*>(memory_.bytes().data());
}

Engine::Slot& Engine::slot(std::size_t place) const {
  return reinterpret_cast<Slot*>(&shared() + 1)[place];
}

Engine::Gauge& Engine::gauge(std::size_t worker_on_node) const {
  return reinterpret_cast<Gauge*>(&slot(comm_.node_ranks().size()))[worker_on_node];
}

std::span<Lane> Engine::lanes(std::uint32_t call) const {
  const auto workers = static_cast<std::size_t>(layout_.workers_on(comm_.node()));
  return {reinterpret_cast<Lane*>(&gauge(workers)) + call % 2 * workers, workers};
}

RootPart Engine::open(const CallForm& form, const std::function<RootPart()>& prepare) {
  comm_.check_agreement();
  clock_.enter(Phase::scatter);
  time_out_after(options_.timeout);
  RootPart root;
  std::exception_ptr refusal;
  bool goes_on = false;
  bool recalls = false;
  if (comm_.is_root()) {
    try {
      root = prepare();
      goes_on = find_kept(form, root);
      recalls =
          root.chunks.empty() && !goes_on && experiences_.contains({form_hash(form), root.tasks});
    } catch (...) {
      refusal = std::current_exception();
    }
  }
  slot(place_).done.store(0, std::memory_order_relaxed);
  constexpr std::uint64_t refused = 1;
  constexpr std::uint64_t with_chunks = 2;
  constexpr std::uint64_t kept_before = 4;
  constexpr std::uint64_t as_recalled = 8;
  const std::uint64_t news = (refusal ? refused : 0) | (root.chunks.empty() ? 0 : with_chunks) |
                             (goes_on ? kept_before : 0) | (recalls ? as_recalled : 0);
  const std::uint64_t mark = (std::uint64_t{call_} + 1) << 32 | (form_hash(form) & 0xffff'ffffU);
  const Agreement said =
      comm_.agree({mark, static_cast<std::uint64_t>(form.tasks),
                   static_cast<std::uint64_t>(root.tasks), root.inputs, root.results, news});
  ++call_; // not before: the agreement may be refused on this rank alone
  for (Lane& lane :
       lanes(call_ + 1).subspan(static_cast<std::size_t>(first_on_node_), hands_.size()))
    lane.next.store(0, std::memory_order_relaxed); // nobody draws from those of the last call now
  if (comm_.is_leader())
    shared().queues[(call_ + 1) % 2].reset();
  if (said.lowest[0] != said.highest[0] || said.lowest[1] != said.highest[1])
    disagree(form);
  if (form.tasks < 0 && form.tasks != tasks_of_root)
    throw Error(ErrorKind::bad_input, std::string(form.verb) + " of " + std::to_string(form.tasks) +
                                          " tasks: their number must be 0 or more");
  if ((said.highest[5] & refused) != 0)
    raise_first(comm_, refusal);
  units_ = 0;
  root.tasks = static_cast<std::int64_t>(said.highest[2]);
  form_ = {form_hash(form), root.tasks};
  root.inputs = said.highest[3];
  root.results = said.highest[4];
  if ((said.highest[5] & with_chunks) != 0)
    broadcast(root.chunks);
  if ((said.highest[5] & as_recalled) != 0)
    root.chunks = recalled();
  kept_call_ = form.kept;
  if (checkpoint_ != nullptr)
    key_ = {checkpoint_->first_repetition() + repetition_, number(), form_.first,
            root.units > 0 ? root.units : root.tasks};
  goes_on_ = (said.highest[5] & kept_before) != 0;
  all_kept_ = goes_on_ && root.chunks.empty();
  resumed_ = resumed_ || goes_on_;
  chunks_units_ = 0;
  for (const TaskRange& chunk : root.chunks)
    chunks_units_ += chunk.size();
  return root;
}

Route Engine::route(const ChunkSequence& sequence, const RootPart& root, std::int64_t item_bytes) {
  Route route{comm_, path_, workers_, sequence, windows_, draws(sequence)};
  if (path_ == DataPath::direct && in_crumbs(sequence, root.tasks, item_bytes))
    route.path = DataPath::window;
  if (route.drawn && comm_.nodes() > 1) {
    supply(sequence, root);
    route.supply = &*supply_;
  }
  return route;
}

/// Before a call computes, nodes are as fast as they have workers, or as their weights say.
std::vector<Supply::Node> Engine::nodes() const {
  std::vector<Supply::Node> nodes;
  for (int node = 0; node < comm_.nodes(); ++node)
    nodes.push_back({layout_.workers_on(node), 0});
  for (int rank = 0; rank < comm_.size(); ++rank)
    for (int thread = 0; thread < workers_.threads_of(rank); ++thread) {
      const int worker = workers_.first_of(rank) + thread;
      nodes[static_cast<std::size_t>(comm_.node_of(rank))].speed +=
          options_.weights.empty() ? 1 : options_.weights[static_cast<std::size_t>(worker)];
    }
  return nodes;
}

/// Of the call that has been opened.
void Engine::supply(const ChunkSequence& sequence, const RootPart& root) {
  const auto done = [this] {
    std::int64_t units = 0;
    for (std::size_t p = 0; p < comm_.node_ranks().size(); ++p)
      units += slot(p).done.load(std::memory_order_relaxed);
    return units;
  };
  supply_.emplace(comm_, nodes(), sequence, root.chunks, shared().queues[call_ % 2],
                  Supply::Now{.done = done,
                              .stopped = [this] { return stopped(); },
                              .stop = [this] { stop_->store(call_, std::memory_order_relaxed); }});
}

/// For the current call.
std::vector<TaskRange> Engine::recalled() const {
  const Experience& last = experiences_.at(form_);
  return chunks_dearest_first(last.units, last.dear, last.rest);
}

void Engine::broadcast(std::vector<TaskRange>& chunks) {
  auto count = static_cast<std::uint64_t>(chunks.size());
  comm_.broadcast(std::as_writable_bytes(std::span(&count, 1)));
  chunks.resize(count);
  comm_.broadcast(std::as_writable_bytes(std::span(chunks)));
}

void Engine::count_bytes(std::uint64_t in, std::uint64_t out) {
  counters_.bytes_in += in;
  counters_.bytes_out += out;
}

std::vector<std::vector<std::byte>> Engine::exchange(std::span<const std::byte> mine) {
  const std::size_t turn = exchanges_++ % 2;
  Slot::Letter& own = slot(place_).letters[turn];
  const bool small = comm_.nodes() == 1 && mine.size() <= own.bytes.size();
  if (small) {
    own.size = mine.size();
    std::ranges::copy(mine, own.bytes.begin());
  }
  if (comm_.agree({small ? 1U : 0U}).lowest[0] == 0)
    return comm_.all_gather_blobs(mine);
  std::vector<std::vector<std::byte>> all;
  for (std::size_t p = 0; p < comm_.node_ranks().size(); ++p) {
    const Slot::Letter& letter = slot(p).letters[turn];
    const auto first = letter.bytes.begin();
    all.emplace_back(first, first + static_cast<std::ptrdiff_t>(letter.size));
  }
  return all;
}

} // namespace cleave::detail
