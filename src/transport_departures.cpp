#include "transport_departures.hpp"

#include "waiting.hpp"

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/exception.hpp>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>

namespace cleave {
namespace {

namespace mpi = boost::mpi;
using Clock = std::chrono::steady_clock;

constexpr int connect_tag = 0;
constexpr std::uint64_t tags = 32'767; // any MPI has as many

struct Letter {
  std::uint64_t comm; // its number: tags recur
  Departure departure;
};

int tag_of(std::uint64_t number) noexcept {
  return static_cast<int>(1 + number % tags);
}

} // namespace

struct Departures::Post {
  mpi::communicator comm;
  std::uint64_t comms = 0;
  std::deque<Letter> sent{}; // MPI may read them until they have arrived
};

std::shared_ptr<Departures::Post> Departures::post_of(MPI_Comm parent) {
  using Shared = std::shared_ptr<Post>;
  static const int key = [] {
    int made = MPI_KEYVAL_INVALID;
    const auto drop = [](MPI_Comm, int, void* value, void*) {
      delete static_cast<Shared*>(value);
      return MPI_SUCCESS;
    };
    BOOST_MPI_CHECK_RESULT(MPI_Comm_create_keyval, (MPI_COMM_NULL_COPY_FN, drop, &made, nullptr));
    return made;
  }();
  void* value = nullptr;
  int found = 0;
  BOOST_MPI_CHECK_RESULT(MPI_Comm_get_attr, (parent, key, static_cast<void*>(&value), &found));
  if (found != 0)
    return *static_cast<Shared*>(value);
  auto post = std::make_unique<Shared>(
      std::make_shared<Post>(Post{.comm = mpi::communicator(parent, mpi::comm_duplicate)}));
  MPI_Comm_set_errhandler((*post)->comm, MPI_ERRORS_RETURN);
  BOOST_MPI_CHECK_RESULT(MPI_Comm_set_attr, (parent, key, post.get()));
  return *post.release();
}

Departures::Departures(MPI_Comm parent, const std::vector<int>& nodes)
    : post_(post_of(parent)), number_(post_->comms++) {
  for (std::size_t r = 0; r < nodes.size(); ++r)
    if (std::cmp_equal(nodes[r], leaders_.size())) // nodes are numbered by their first rank
      leaders_.push_back(static_cast<int>(r));
  own_leader_ = leaders_[static_cast<std::size_t>(nodes[static_cast<std::size_t>(rank())])];
  connect();
}

Departures::Departures(const Departures& other)
    : post_(other.post_), number_(post_->comms++), leaders_(other.leaders_),
      own_leader_(other.own_leader_) {}

int Departures::rank() const {
  return post_->comm.rank();
}

/// Who has left makes no more calls on MPI, perhaps, and a first message is not on its way until
/// both ends have made some.
void Departures::connect() const {
  const auto own = std::ranges::find(leaders_, rank()) - leaders_.begin();
  const auto count = static_cast<std::ptrdiff_t>(leaders_.size());
  if (own == count)
    return;
  const auto leader = [&](std::ptrdiff_t i) {
    return leaders_[static_cast<std::size_t>(i % count)];
  };
  for (std::ptrdiff_t step = 1; step < count; ++step)
    BOOST_MPI_CHECK_RESULT(MPI_Sendrecv, (nullptr, 0, MPI_BYTE, leader(own + step), connect_tag,
                                          nullptr, 0, MPI_BYTE, leader(own + count - step),
                                          connect_tag, post_->comm, MPI_STATUS_IGNORE));
}

void Departures::exchange(Meeting& meeting) noexcept {
  try {
    int finalized = 0;
    if (MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0)
      return;
    listen(meeting);
    if (const auto departure = meeting.departure(); departure && departure->missed < told_)
      tell(*departure);
  } catch (const std::exception&) { // MPI is broken, or memory at its end: others say so
  }
}

void Departures::tell(const Departure& departure) {
  told_ = departure.missed;
  const Letter& letter = post_->sent.emplace_back(Letter{.comm = number_, .departure = departure});
  std::vector<MPI_Request> requests;
  for (const int leader : leaders_)
    if (leader != own_leader_)
      MPI_Isend(&letter, sizeof letter, MPI_BYTE, leader, tag_of(number_), post_->comm,
                &requests.emplace_back(MPI_REQUEST_NULL)); // fails where its process has ended
  if (rank() != own_leader_)
    deliver(requests);
  for (MPI_Request& request : requests)
    if (request != MPI_REQUEST_NULL)
      MPI_Request_free(&request);
}

/// Of a rank that is no leader, and has no connection to them yet: these need its help, and some
/// look for messages twice a second only. To one whose process has ended nothing is delivered.
void Departures::deliver(std::vector<MPI_Request>& requests) {
  const auto deadline = Clock::now() + 6 * longest_sleep;
  const auto is_over = [](MPI_Request& request) {
    int done = 0;
    return MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
  };
  while (std::erase_if(requests, is_over), !requests.empty() && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void Departures::listen(Meeting& meeting) {
  const auto now = Clock::now();
  if (now - listened_ < longest_sleep / 2)
    return;
  listened_ = now;
  for (int look = 0; look < 2; ++look) { // the first may but fetch what the second finds
    int come = 0;
    MPI_Status status;
    BOOST_MPI_CHECK_RESULT(MPI_Iprobe,
                           (MPI_ANY_SOURCE, tag_of(number_), post_->comm, &come, &status));
    if (come == 0)
      continue;
    Letter letter{};
    BOOST_MPI_CHECK_RESULT(MPI_Recv, (&letter, sizeof letter, MPI_BYTE, status.MPI_SOURCE,
                                      tag_of(number_), post_->comm, MPI_STATUS_IGNORE));
    if (letter.comm != number_)
      continue;
    told_ = std::min(told_, letter.departure.missed); // to all, by who told us
    meeting.hear(letter.departure);
  }
}

} // namespace cleave
