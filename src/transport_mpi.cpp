#include "absence.hpp"
#include "session_roll.hpp"
#include "shared_memory.hpp"
#include "transport.hpp"
#include "transport_departures.hpp"
#include "waiting.hpp"

#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/exception.hpp>
#include <boost/mpi/nonblocking.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <thread>
#include <utility>

namespace cleave {
namespace {

namespace mpi = boost::mpi;
using Clock = std::chrono::steady_clock;

constexpr int tag = 1;      // one conversation on a communicator of our own
constexpr int mail_tag = 2; // and upwards, by line
constexpr auto longest_nap = std::chrono::milliseconds(20);

/// The ranks that share memory with us, or, to pretend, `pretend` ranks of them at a time.
mpi::communicator node_of(const mpi::communicator& world, int pretend) {
  MPI_Comm raw = MPI_COMM_NULL;
  BOOST_MPI_CHECK_RESULT(MPI_Comm_split_type, (static_cast<MPI_Comm>(world), MPI_COMM_TYPE_SHARED,
                                               world.rank(), MPI_INFO_NULL, &raw));
  mpi::communicator node(raw, mpi::comm_take_ownership);
  return pretend > 0 ? node.split(node.rank() / pretend) : node;
}

std::string host_name() {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  BOOST_MPI_CHECK_RESULT(MPI_Get_processor_name, (name.data(), &length));
  return {name.data(), static_cast<std::size_t>(length)};
}

/// Runs call(), which talks to MPI; what MPI finds wrong becomes our Error.
template <class Call>
decltype(auto) checked(Call call) {
  try {
    return call();
  } catch (const mpi::exception& error) {
    throw Error(ErrorKind::lost_peer, std::string("MPI failed: ") + error.what());
  }
}

/// One piece of each direction is under way at a time, in a buffer of its own.
class MpiMail final : public Mail {
public:
  MpiMail(Transport& transport, mpi::communicator world, int peer, std::size_t piece_bytes,
          int line)
      : transport_(transport), peer_(peer), tag_(mail_tag + line), piece_bytes_(piece_bytes),
        way_(std::make_unique<Way>(Way{
            .world = std::move(world), .out = buffer(piece_bytes), .in = buffer(piece_bytes)})) {}
  MpiMail(const MpiMail&) = delete;
  MpiMail& operator=(const MpiMail&) = delete;

  /// Who ends early leaves pieces under way, of which the other rank may take no more notice: MPI
  /// keeps their memory then, since to wait for them might last for ever.
  ~MpiMail() override {
    try {
      if (way_->receiving && !way_->receiving->test())
        way_->receiving->cancel(); // nothing comes any more, unless it is under way
      if ((way_->receiving && !way_->receiving->test()) || !sent())
        static_cast<void>(way_.release());
    } catch (const std::exception&) { // MPI is broken: others say so
    }
  }

  bool try_send(std::span<const std::byte> piece) override {
    if (!sent())
      return false;
    std::ranges::copy(piece, way_->out.get());
    checked([&] {
      way_->sending = way_->world.isend(peer_, tag_, reinterpret_cast<const char*>(way_->out.get()),
                                        static_cast<int>(piece.size()));
    });
    return true;
  }

  bool sent() override {
    return checked([&] {
      if (way_->sending && way_->sending->test())
        way_->sending.reset();
      return !way_->sending;
    });
  }

  std::size_t try_receive(std::span<std::byte> room) override {
    return checked([&]() -> std::size_t {
      if (!way_->receiving)
        way_->receiving = way_->world.irecv(peer_, tag_, reinterpret_cast<char*>(way_->in.get()),
                                            static_cast<int>(piece_bytes_));
      const auto status = way_->receiving->test();
      if (!status) {
        transport_.exchange_departures(); // who waits for mail looks for nothing else
        return 0;
      }
      way_->receiving.reset();
      const auto count = static_cast<std::size_t>(status->count<char>().value());
      std::copy_n(way_->in.get(), count, room.begin());
      return count;
    });
  }

private:
  using Buffer = std::unique_ptr<std::byte[]>; // not zeroed: most pieces are small
  static Buffer buffer(std::size_t bytes) {
    return std::make_unique_for_overwrite<std::byte[]>(bytes);
  }
  struct Way {
    mpi::communicator world;
    Buffer out;
    Buffer in;
    std::optional<mpi::request> sending{};
    std::optional<mpi::request> receiving{};
  };

  Transport& transport_;
  int peer_;
  int tag_;
  std::size_t piece_bytes_;
  std::unique_ptr<Way> way_;
};

/// The communicator of which every rank is about to make a duplicate.
MPI_Comm agreed(MPI_Comm parent, const CommOptions& options) {
  int rank = 0;
  MPI_Comm_rank(parent, &rank);
  const std::string name = rank_name(rank, host_name(), getpid());
  const std::chrono::duration<double> patience(options.patience_s);
  auto next = patience;
  const bool speaks = (rank & (rank - 1)) == 0; // a few of many, whoever is missing
  const auto ended = call_roll(parent, Intent::make_comm, [&](auto waited) {
    if (waited < next || !speaks)
      return;
    next = waited + patience;
    options.on_absent(name + " has waited " + std::to_string(std::lround(waited.count())) +
                      " s for other ranks to make their Comm or Pool, as every rank must");
  });
  if (ended)
    throw Error(ErrorKind::lost_peer, "rank " + std::to_string(*ended) + " has ended MPI, and " +
                                          name + " makes a Comm or Pool: every rank must make it");
  return parent;
}

class MpiTransport final : public Transport {
public:
  MpiTransport(MPI_Comm parent, CommOptions options)
      : Transport(std::move(options)), world_(agreed(parent, this->options()), mpi::comm_duplicate),
        node_(node_of(world_, this->options().ranks_per_node)),
        leaders_(world_.split(node_.rank() == 0 ? 0 : 1)) {
    // Our own communicator reports errors instead of ending the job.
    MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN);
    settle(world_.rank(), find_ranks());
    if (nodes() > 1)
      departures_.emplace(parent, ranks().node);
    begin();
  }

  MpiTransport(const MpiTransport& other)
      : Transport(other.options()), world_(other.world_, mpi::comm_duplicate),
        node_(other.node_, mpi::comm_duplicate), leaders_(other.leaders_, mpi::comm_duplicate),
        departures_(other.departures_) {
    settle(world_.rank(), other.ranks());
    begin();
  }
  MpiTransport& operator=(const MpiTransport&) = delete;

  /// Where a rank has left, messages to it or from it may still be on their way: their
  /// communicators, and what they are received into, stay.
  ~MpiTransport() override {
    if (nodes() > 1 && meeting().departure())
      static_cast<void>(kept_.release());
  }

  [[nodiscard]] std::shared_ptr<Transport> duplicate() const override {
    return std::make_shared<MpiTransport>(*this);
  }

  void send(std::span<const std::byte> bytes, int destination) override {
    checked([&] {
      finish(world_.isend(destination, tag, reinterpret_cast<const char*>(bytes.data()),
                          static_cast<int>(bytes.size())),
             destination);
    });
  }

  void receive(std::span<std::byte> bytes, int source) override {
    checked([&] {
      finish(world_.irecv(source, tag, reinterpret_cast<char*>(bytes.data()),
                          static_cast<int>(bytes.size())),
             source);
    });
  }

  std::unique_ptr<Mail> mail(int peer, std::size_t piece_bytes, int line) override {
    return std::make_unique<MpiMail>(*this, world_, peer, piece_bytes, line);
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    checked([&] {
      mpi::broadcast(world_, reinterpret_cast<char*>(bytes.data()), static_cast<int>(bytes.size()),
                     root);
    });
  }

  void all_gather(std::span<const std::byte> mine, std::byte* all) override {
    checked([&] {
      mpi::all_gather(world_, reinterpret_cast<const char*>(mine.data()),
                      static_cast<int>(mine.size()), reinterpret_cast<char*>(all));
    });
  }

  Agreement fold_leaders(const Agreement& mine, Meeting&) override {
    if (nodes() == 1)
      return mine;
    // One reduction serves both ends: the largest complement is the complement of the smallest.
    constexpr std::size_t n = std::tuple_size_v<Words>;
    auto& [in, out] = kept_->fold;
    for (std::size_t i = 0; i < n; ++i) {
      in[i] = mine.highest[i];
      in[n + i] = ~mine.lowest[i];
    }
    checked([&] {
      MPI_Request request = MPI_REQUEST_NULL;
      BOOST_MPI_CHECK_RESULT(MPI_Iallreduce, (in.data(), out.data(), static_cast<int>(in.size()),
                                              MPI_UINT64_T, MPI_MAX, leaders_, &request));
      wait_until(
          [&request] {
            int done = 0;
            BOOST_MPI_CHECK_RESULT(MPI_Test, (&request, &done, MPI_STATUS_IGNORE));
            return done != 0;
          },
          [] { return std::string("a rank of another node"); },
          [this] { return meeting().round_lost(); });
    });
    Agreement all;
    for (std::size_t i = 0; i < n; ++i) {
      all.highest[i] = out[i];
      all.lowest[i] = ~out[n + i];
    }
    return all;
  }

  NodeWindow window(std::int64_t bytes) override {
    if (bytes == 0)
      return {};
    MemoryTicket ticket;
    std::unique_ptr<SharedMemoryOwner> owner;
    if (node_.rank() == 0) {
      owner = std::make_unique<SharedMemoryOwner>(bytes);
      ticket = owner->ticket();
    }
    mpi::broadcast(node_, reinterpret_cast<char*>(&ticket), sizeof ticket, 0);
    NodeWindow window = map_memory(ticket, bytes);
    const bool everywhere =
        mpi::all_reduce(node_, window.bytes().empty() ? 0 : 1, mpi::minimum<int>()) == 1;
    return everywhere ? std::move(window) : NodeWindow{};
  }

  [[nodiscard]] bool one_process() const noexcept override { return false; }

  void exchange_departures() noexcept override {
    if (departures_ && (node_.rank() == 0 || meeting().leader_has_ended()))
      departures_->exchange(meeting());
  }

  void abort(int status) noexcept override { MPI_Abort(world_, status); }

private:
  struct Fold {
    std::array<std::uint64_t, 2 * std::tuple_size_v<Words>> in{};
    std::array<std::uint64_t, 2 * std::tuple_size_v<Words>> out{};
  };
  struct Kept {
    mpi::communicator world;
    mpi::communicator node;
    mpi::communicator leaders;
    Fold fold{};
  };

  void begin() {
    kept_ = std::make_unique<Kept>(Kept{.world = world_, .node = node_, .leaders = leaders_});
    if (departures_)
      meeting().listen_by([this] { exchange_departures(); });
  }

  /// Waits without holding a core for long: looks again and again, then naps, which give the core
  /// to others at once where a yield would give it for a time slice.
  template <class Done, class Gone>
  void wait_until(Done done, const std::function<std::string()>& absent, Gone gone_now) {
    const auto since = Clock::now();
    const Naps naps(longest_nap);
    std::optional<ExactNaps> exactly;
    while (!done()) {
      if (naps.awake() && !meeting().yields())
        continue;
      if (!exactly)
        exactly.emplace();
      std::this_thread::sleep_until(naps.next());
      exchange_departures();
      if (const auto gone = gone_now()) {
        if (done())
          return;
        throw *gone;
      }
      meeting().name_absent(since, absent);
    }
  }

  void finish(mpi::request request, int peer) {
    try {
      wait_until([&request] { return request.test().has_value(); },
                 [peer] { return "rank " + std::to_string(peer); },
                 [this] { return meeting().left(); });
    } catch (...) {
      request.cancel(); // the buffer is about to go
      throw;
    }
  }

  Ranks find_ranks() {
    Ranks ranks;
    mpi::all_gather(world_, host_name(), ranks.host);
    mpi::all_gather(world_, static_cast<std::int64_t>(getpid()), ranks.pid);
    const int leader = mpi::all_reduce(node_, world_.rank(), mpi::minimum<int>());
    std::vector<int> leader_of;
    mpi::all_gather(world_, leader, leader_of);
    std::map<int, int> node_by_leader; // nodes are numbered by their first rank
    for (int r = 0; r < world_.size(); ++r) {
      const int next = static_cast<int>(node_by_leader.size());
      ranks.node.push_back(
          node_by_leader.try_emplace(leader_of[static_cast<std::size_t>(r)], next).first->second);
    }
    return ranks;
  }

  mpi::communicator world_;
  mpi::communicator node_;
  mpi::communicator leaders_; // of this node's leader: all leaders; of the rest: nothing used
  std::optional<Departures> departures_; // of several nodes
  std::unique_ptr<Kept> kept_;
};

} // namespace

std::shared_ptr<Transport> mpi_transport(MPI_Comm parent, CommOptions options) {
  return std::make_shared<MpiTransport>(parent, std::move(options));
}

} // namespace cleave
