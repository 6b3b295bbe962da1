#include "comm_checks.hpp"

#include "cleave/serialize.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <thread>
#include <vector>

namespace cleave::testing {
namespace {

/// Three bytes: sizes that divide no message limit.
struct Odd {
  std::array<unsigned char, 3> bytes{};
  friend bool operator==(const Odd&, const Odd&) = default;
};

template <class T>
T value_at(std::int64_t i) {
  if constexpr (std::is_same_v<T, Odd>)
    return {{static_cast<unsigned char>(i), static_cast<unsigned char>(i >> 8), 7}};
  else
    return static_cast<T>(i * 3 + 1);
}

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Elements of root's array in these checks.
constexpr std::int64_t held = 2000;

/// Parts for `ranks` ranks, of the kinds that a user may come up with.
std::map<std::string, std::vector<Part>> kinds_of_parts(int ranks) {
  std::map<std::string, std::vector<Part>> kinds;
  for (std::int64_t r = 0; r < ranks; ++r) {
    const std::int64_t share = held / ranks;
    kinds["contiguous"].push_back({r * share, share});
    kinds["backwards"].push_back({(ranks - 1 - r) * share, share});
    kinds["gaps"].push_back({r * share + 5, share / 2 - r});
    kinds["some empty"].push_back({r * share, r % 2 == 0 ? 0 : share});
    kinds["all empty"].push_back({held, 0});
    kinds["uneven"].push_back({r * 300, r * 100 + 1});
    kinds["all to the last"].push_back({0, r + 1 == ranks ? held : 0});
  }
  return kinds;
}

/// Only a scatterv may read an element more than once.
std::vector<Part> overlapping(int ranks) {
  std::vector<Part> parts;
  for (std::int64_t r = 0; r < ranks; ++r)
    parts.push_back({r * 10, held - 100});
  return parts;
}

template <class T>
std::vector<T> whole(bool at_root) {
  std::vector<T> all;
  for (std::int64_t i = 0; at_root && i < held; ++i)
    all.push_back(value_at<T>(i));
  return all;
}

template <class T>
std::vector<T> check_scatterv(const Comm& comm, const std::vector<Part>& parts, int root) {
  const std::vector<T> all = whole<T>(comm.rank() == root);
  const Part own = parts[at(comm.rank())];
  std::vector<T> mine(at(own.count));
  comm.scatterv<T>(all, parts, mine, root);
  bool right = true;
  for (std::int64_t i = 0; i < own.count; ++i)
    right = right && mine[at(i)] == value_at<T>(own.first + i);
  EXPECT_TRUE(right);
  return mine;
}

template <class T>
void check_gatherv(const Comm& comm, const std::vector<Part>& parts, int root,
                   const std::vector<T>& mine) {
  const T untouched = value_at<T>(-1);
  std::vector<T> all(comm.rank() == root ? at(held) : 0, untouched);
  comm.gatherv<T>(mine, parts, all, root);
  if (comm.rank() != root)
    return;
  std::vector<T> expected(at(held), untouched);
  for (const Part& part : parts)
    for (std::int64_t i = part.first; i < part.first + part.count; ++i)
      expected[at(i)] = value_at<T>(i);
  EXPECT_TRUE(all == expected);
}

template <class T>
void check_parts_of(const Comm& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    for (const auto& [kind, parts] : kinds_of_parts(comm.size())) {
      SCOPED_TRACE(kind + ", root " + std::to_string(root));
      check_gatherv<T>(comm, parts, root, check_scatterv<T>(comm, parts, root));
    }
    (void)check_scatterv<T>(comm, overlapping(comm.size()), root);
  }
}

/// Whether the call throws bad_input here.
template <class Call>
bool refused(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::bad_input;
  }
  return false;
}

} // namespace

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// What as many naps as a wait of two seconds has cost by themselves, with a look at some memory
/// after each: where neighbours of a virtual machine empty its caches meanwhile, that is 20 ms and
/// more, and four times what it is in a quiet hour.
double cost_of_naps() {
  constexpr int tried = 40;
  constexpr int naps = 160;
  constexpr int looks = 200;
  std::vector<char> memory(std::size_t{4} << 20, '\1');
  std::uint32_t place = 1;
  const double before_s = cpu_seconds();
  for (int nap = 0; nap < tried; ++nap) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (int look = 0; look < looks; ++look) {
      place = place * 1'664'525 + 1'013'904'223; // Numerical Recipes
      ++memory[(place >> 6U) % memory.size()];
    }
  }
  return (cpu_seconds() - before_s) * naps / tried;
}

void check_sleeps(const Comm& comm, const std::function<void()>& wait) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr double most_s = 0.2; // a sanitizer's own work
#else
  constexpr double most_s = 0.04;
#endif
  double least_s = std::numeric_limits<double>::infinity(); // other load only adds to it
  bool all_sleep = false;
  double limit_s = most_s;
  for (int time = 0; time < 5 && !all_sleep; ++time) {
    limit_s = std::max(most_s, 3 * cost_of_naps());
    comm.barrier();
    const double before_s = cpu_seconds();
    wait();
    least_s = std::min(least_s, cpu_seconds() - before_s);
    all_sleep = std::ranges::max(comm.all_gather(least_s / limit_s)) < 1;
  }
  EXPECT_LT(least_s, limit_s);
}

void check_places(const Comm& comm) {
  EXPECT_EQ(comm.is_root(), comm.rank() == 0);
  EXPECT_EQ(comm.node_of(0), 0);
  EXPECT_TRUE(std::ranges::count(comm.node_ranks(), comm.rank()) == 1);
  EXPECT_TRUE(std::ranges::is_sorted(comm.node_ranks()));
  for (const int rank : comm.node_ranks())
    EXPECT_EQ(comm.node_of(rank), comm.node());
  int nodes = 0;
  for (int rank = 0; rank < comm.size(); ++rank) {
    nodes = std::max(nodes, comm.node_of(rank) + 1);
    EXPECT_FALSE(comm.host_of(rank).empty());
    EXPECT_GT(comm.pid_of(rank), 0);
  }
  EXPECT_EQ(nodes, comm.nodes());
  if (const int pretended = comm.options().ranks_per_node; pretended > 0) {
    EXPECT_EQ(comm.nodes(), (comm.size() + pretended - 1) / pretended);
  }
  EXPECT_EQ(comm.is_leader(), comm.node_ranks().front() == comm.rank());
}

void check_agreement(const Comm& comm) {
  const auto mine = static_cast<std::uint64_t>(comm.rank());
  const auto last = static_cast<std::uint64_t>(comm.size() - 1);
  for (std::uint64_t round = 0; round < 200; ++round) {
    const Agreement all = comm.agree({round, mine, ~mine, 7, mine * mine, round});
    EXPECT_EQ(all.lowest, (Words{round, 0, ~last, 7, 0, round}));
    EXPECT_EQ(all.highest, (Words{round, last, ~0ULL, 7, last * last, round}));
    EXPECT_EQ(all.unanimous(), comm.size() == 1);
  }
  EXPECT_TRUE(comm.agree({1, 2, 3}).unanimous());
  comm.barrier();
}

void check_broadcasts_and_all_gathers(const Comm& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    const bool here = comm.rank() == root;
    const std::string long_text = std::string(5000, 'x') + std::to_string(root);
    EXPECT_EQ(comm.broadcast(here ? long_text : "other", root), long_text);
    EXPECT_EQ(comm.broadcast(here ? "" : "other", root), "");
    std::array<int, 3> numbers{here ? root : -1, here ? 5 : -1, -1};
    comm.broadcast(std::as_writable_bytes(std::span(numbers).first(2)), root);
    EXPECT_EQ(numbers, (std::array{root, 5, -1}));
  }
  const auto squares = comm.all_gather(comm.rank() * comm.rank());
  const auto texts = comm.all_gather(std::string(at(comm.rank()) * 700, 'y'));
  EXPECT_EQ(std::ssize(squares), comm.size());
  EXPECT_EQ(std::ssize(texts), comm.size());
  for (int rank = 0; rank < comm.size(); ++rank) {
    EXPECT_EQ(squares[at(rank)], rank * rank);
    EXPECT_EQ(texts[at(rank)], std::string(at(rank) * 700, 'y'));
  }
}

void check_parts(const Comm& comm) {
  check_parts_of<int>(comm);
  check_parts_of<double>(comm);
  check_parts_of<Odd>(comm);
}

void check_pieces(const Comm& comm) {
  constexpr std::int64_t width = 7;
  const auto count_of = [](int rank) { return std::int64_t{20 + 3 * rank}; };
  const Pieces pieces{.count = count_of, .piece = [&](int rank, std::int64_t number) {
                        return Part{(number * comm.size() + rank) * width, width};
                      }};
  const std::int64_t all_count = width * comm.size() * count_of(comm.size() - 1);
  for (int root = 0; root < comm.size(); ++root) {
    std::vector<int> all(comm.rank() == root ? at(all_count) : 0);
    std::iota(all.begin(), all.end(), 0);
    std::vector<int> mine(at(width * count_of(comm.rank())));
    comm.scatter_pieces(std::as_bytes(std::span(all)), pieces,
                        std::as_writable_bytes(std::span(mine)), sizeof(int), root);
    bool right = true;
    for (std::int64_t i = 0; i < std::ssize(mine); ++i)
      right = right && mine[at(i)] == (i / width * comm.size() + comm.rank()) * width + i % width;
    EXPECT_TRUE(right);
    std::vector<int> back(all.size(), -1);
    comm.gather_pieces(std::as_bytes(std::span(mine)), pieces,
                       std::as_writable_bytes(std::span(back)), sizeof(int), root);
    for (std::int64_t i = 0; i < std::ssize(back); ++i) {
      const std::int64_t piece = i / width;
      const int owner = static_cast<int>(piece % comm.size());
      right = right && back[at(i)] == (piece / comm.size() < count_of(owner) ? i : -1);
    }
    EXPECT_TRUE(right);
  }
}

void check_refusals(const Comm& comm) {
  const std::vector<int> all(comm.is_root() ? 10 : 0);
  const auto try_part = [&](Part last) {
    std::vector<Part> parts(at(comm.size()), Part{0, 1});
    parts.back() = last;
    std::vector<int> mine(at(std::clamp<std::int64_t>(parts[at(comm.rank())].count, 0, 100)));
    std::vector<int> target(all);
    EXPECT_TRUE(refused([&] { comm.scatterv<int>(all, parts, mine); }))
        << last.first << ' ' << last.count;
    EXPECT_TRUE(refused([&] { comm.gatherv<int>(mine, parts, target); }))
        << last.first << ' ' << last.count;
  };
  try_part({10, 1});
  try_part({0, 11});
  try_part({-1, 2});
  try_part({3, -1});
  try_part({std::int64_t{1} << 62, 1});
  // An own array of the wrong size, on one rank alone.
  const std::vector<Part> parts(at(comm.size()), Part{0, 2});
  std::vector<int> mine(comm.rank() + 1 == comm.size() ? 3 : 2);
  EXPECT_TRUE(refused([&] { comm.scatterv<int>(all, parts, mine); }));
  // A rank without a part.
  const std::vector<Part> few(at(comm.size() - 1), Part{0, 2});
  EXPECT_TRUE(refused([&] { comm.scatterv<int>(all, few, mine); }));
  std::vector<int> target(all);
  EXPECT_TRUE(refused([&] { comm.gatherv<int>(mine, few, target); }));
  comm.barrier();
}

void check_blobs(const Comm& comm) {
  const auto texts_for = [](int rank) {
    return std::vector<std::string>(at(rank) * 3, std::string(at(rank) * 50, 'z'));
  };
  for (int root = 0; root < comm.size(); ++root) {
    const auto blob = comm.scatter_blobs(
        [&](int rank) {
          EXPECT_NE(rank, root);
          Packer packer;
          packer.put(texts_for(rank));
          return packer.take();
        },
        root);
    if (comm.rank() == root)
      EXPECT_TRUE(blob.empty());
    else
      EXPECT_EQ(Unpacker(blob).get<std::vector<std::string>>(), texts_for(comm.rank()));
    std::vector<int> taken;
    comm.gather_blobs(
        blob,
        [&](int rank, const std::vector<std::byte>& bytes) {
          taken.push_back(rank);
          EXPECT_EQ(Unpacker(bytes).get<std::vector<std::string>>(), texts_for(rank));
        },
        root);
    std::vector<int> others;
    for (int rank = 0; rank < comm.size(); ++rank)
      if (rank != root && comm.rank() == root)
        others.push_back(rank);
    EXPECT_EQ(taken, others);
  }
  const std::vector<std::byte> own(at(comm.rank() % 3) * 100, std::byte{9});
  const auto blobs = comm.all_gather_blobs(own);
  EXPECT_EQ(std::ssize(blobs), comm.size());
  for (int rank = 0; rank < comm.size(); ++rank)
    EXPECT_EQ(blobs[at(rank)], std::vector<std::byte>(at(rank % 3) * 100, std::byte{9}));
}

void check_windows(const Comm& comm) {
  EXPECT_TRUE(comm.window(0).bytes().empty());
  const NodeWindow window = comm.window(100'000);
  const std::span<std::byte> bytes = window.bytes();
  EXPECT_EQ(bytes.size(), 100'000U);
  EXPECT_EQ(std::ranges::count(bytes, std::byte{0}), 100'000);
  comm.barrier();
  bytes[at(comm.rank())] = std::byte{5};
  comm.barrier();
  for (int rank = 0; rank < comm.size(); ++rank)
    EXPECT_EQ(bytes[at(rank)], comm.node_of(rank) == comm.node() ? std::byte{5} : std::byte{0});
  comm.barrier();
}

void check_clock(const Comm& comm) {
  const ClockOffset offset = comm.clock_offset();
  // All ranks of a test share one clock.
  EXPECT_LE(std::abs(offset.offset_ns), offset.error_ns);
  EXPECT_EQ(offset.error_ns == 0, comm.node() == 0);
}

void check_comm(const Comm& comm) {
  check_places(comm);
  check_agreement(comm);
  check_broadcasts_and_all_gathers(comm);
  check_parts(comm);
  check_pieces(comm);
  check_refusals(comm);
  check_blobs(comm);
  check_windows(comm);
  check_clock(comm);
}

} // namespace cleave::testing
