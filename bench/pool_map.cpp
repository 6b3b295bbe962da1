/// @file
/// Pool::map of many doubles against MPI_Scatterv, a loop and MPI_Gatherv written by hand.
/// mpirun -n 2 bench/pool_map [--mebibytes 256] [--repetitions 15] [--path direct]
#include "bench/bench.hpp"
#include "bench/task.hpp"
#include "cleave/pool.hpp"

#include <numeric>
#include <string>

namespace {

/// What a careful MPI program does.
class ByHand {
public:
  explicit ByHand(const std::vector<double>& inputs) : inputs_(inputs) {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    std::int64_t n = std::ssize(inputs);
    MPI_Bcast(&n, 1, MPI_INT64_T, 0, MPI_COMM_WORLD);
    for (int r = 0; r < size_; ++r) {
      const cleave::TaskRange block = cleave::block_range(n, size_, r);
      counts_.push_back(static_cast<int>(block.size()));
      offsets_.push_back(static_cast<int>(block.first));
    }
    n_ = static_cast<std::size_t>(n);
  }

  /// All buffers are the caller's, allocated and touched beforehand.
  void prepared(std::vector<double>& in, std::vector<double>& out, std::vector<double>& all) const {
    const int mine = counts_[static_cast<std::size_t>(rank_)];
    MPI_Scatterv(inputs_.data(), counts_.data(), offsets_.data(), MPI_DOUBLE, in.data(), mine,
                 MPI_DOUBLE, 0, MPI_COMM_WORLD);
    for (int i = 0; i < mine; ++i)
      out[static_cast<std::size_t>(i)] = bench::cheap(in[static_cast<std::size_t>(i)]);
    MPI_Gatherv(out.data(), mine, MPI_DOUBLE, all.data(), counts_.data(), offsets_.data(),
                MPI_DOUBLE, 0, MPI_COMM_WORLD);
  }

  /// Buffers are made in the call; root computes in place.
  [[nodiscard]] std::vector<double> allocating() const {
    const int mine = counts_[static_cast<std::size_t>(rank_)];
    if (rank_ == 0) {
      std::vector<double> all(n_);
      MPI_Scatterv(inputs_.data(), counts_.data(), offsets_.data(), MPI_DOUBLE, MPI_IN_PLACE, 0,
                   MPI_DOUBLE, 0, MPI_COMM_WORLD);
      for (std::size_t i = 0; i < static_cast<std::size_t>(mine); ++i)
        all[i] = bench::cheap(inputs_[i]);
      MPI_Gatherv(MPI_IN_PLACE, 0, MPI_DOUBLE, all.data(), counts_.data(), offsets_.data(),
                  MPI_DOUBLE, 0, MPI_COMM_WORLD);
      return all;
    }
    std::vector<double> part(static_cast<std::size_t>(mine));
    MPI_Scatterv(nullptr, counts_.data(), offsets_.data(), MPI_DOUBLE, part.data(), mine,
                 MPI_DOUBLE, 0, MPI_COMM_WORLD);
    for (double& x : part)
      x = bench::cheap(x);
    MPI_Gatherv(part.data(), mine, MPI_DOUBLE, nullptr, counts_.data(), offsets_.data(), MPI_DOUBLE,
                0, MPI_COMM_WORLD);
    return {};
  }

  [[nodiscard]] std::size_t mine() const {
    return static_cast<std::size_t>(counts_[static_cast<std::size_t>(rank_)]);
  }

private:
  const std::vector<double>& inputs_;
  int rank_ = 0;
  int size_ = 1;
  std::size_t n_ = 0;
  std::vector<int> counts_;
  std::vector<int> offsets_;
};

cleave::DataPath path_option(int argc, char** argv) {
  using cleave::DataPath;
  for (int i = 1; i + 1 < argc; ++i)
    for (const DataPath path : {DataPath::direct, DataPath::window, DataPath::messages})
      if (std::string(argv[i]) == "--path" && std::string(argv[i + 1]) == name(path))
        return path;
  return DataPath::automatic;
}

/// Times two sides in turns and prints both and their ratio. Pairs, not all sides in one round:
/// what one side leaves of the machine's memory would be paid by the next.
void compare(const std::string& name, const bench::Side& ours, const std::string& wanted,
             const std::string& other, const bench::Side& theirs, int repetitions, bool prints) {
  const auto seconds = bench::alternate({ours, theirs}, repetitions);
  if (!prints)
    return;
  bench::print(name, bench::figure(seconds[0]), "s");
  bench::print("  by hand, buffers " + other, bench::figure(seconds[1]), "s");
  bench::print("  ratio", bench::time_ratio(seconds[0], seconds[1]), "", wanted);
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session, {.threads = 1,
                              .schedule = cleave::Schedule::parse("block"), // as by hand
                              .data_path = path_option(argc, argv)});
  const auto n = static_cast<std::size_t>(bench::option(argc, argv, "mebibytes", 256)) << 17;
  const int repetitions = bench::option(argc, argv, "repetitions", 15);
  std::vector<double> inputs(pool.is_root() ? n : 0);
  std::iota(inputs.begin(), inputs.end(), 0.0);
  const ByHand by_hand(inputs);
  double sink = 0;
  const auto side = [&](const auto& work) {
    return bench::timed([&pool, &sink, work] {
      const auto& results = work();
      sink += results.empty() ? 0 : results.back();
      pool.comm().barrier();
    });
  };
  const cleave::CallOptions drawn{.schedule = cleave::Schedule()};
  std::vector<double> kept;
  std::vector<double> in(by_hand.mine());
  std::vector<double> out(by_hand.mine());
  std::vector<double> all(pool.is_root() ? n : 0);
  const auto prepared = side([&]() -> const std::vector<double>& {
    by_hand.prepared(in, out, all);
    return all;
  });
  const auto made = side([&] { return by_hand.allocating(); });
  const auto map = side([&] { return pool.map(bench::cheap, inputs); });
  const auto recycling = side([&]() -> const std::vector<double>& {
    return kept = pool.map(bench::cheap, inputs, {}, std::move(kept));
  });
  const auto map_drawn = side([&] { return pool.map(bench::cheap, inputs, drawn); });
  const auto view = side([&] { return pool.map_view(bench::cheap, inputs); });

  const bool prints = pool.is_root();
  if (prints) {
    bench::print_heading(argc, argv);
    std::printf("%zu MiB of double, %d ranks, path %s, %d repetitions\n", n >> 17,
                pool.comm().size(), pool.data_path().c_str(), repetitions);
  }
  const auto against_prepared = [&](const std::string& name, const bench::Side& ours,
                                    const std::string& wanted) {
    compare(name, ours, wanted, "prepared", prepared, repetitions, prints);
  };
  against_prepared("Pool::map", map, "<= 1.0");
  against_prepared("Pool::map, memory recycled", recycling, "<= 1.0");
  against_prepared("Pool::map, auto", map_drawn, "");
  against_prepared("Pool::map_view", view, "");
  compare("Pool::map", map, "<= 0.6", "made in the call", made, repetitions, prints);
  if (prints)
    std::printf("(%g)\n", sink); // so that no side is left out
}
