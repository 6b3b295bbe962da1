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
  std::vector<double> in(by_hand.mine());
  std::vector<double> out(by_hand.mine());
  std::vector<double> all(pool.is_root() ? n : 0);
  const cleave::CallOptions drawn{.schedule = cleave::Schedule()};
  std::vector<double> kept;
  double sink = 0;
  const auto seconds = bench::alternate({bench::timed([&] {
                                           const auto results = pool.map(bench::cheap, inputs);
                                           sink += results.empty() ? 0 : results.back();
                                           pool.comm().barrier();
                                         }),
                                         bench::timed([&] {
                                           const auto results = pool.map_view(bench::cheap, inputs);
                                           sink += results.empty() ? 0 : results.back();
                                           pool.comm().barrier();
                                         }),
                                         bench::timed([&] {
                                           const auto results =
                                               pool.map(bench::cheap, inputs, drawn);
                                           sink += results.empty() ? 0 : results.back();
                                           pool.comm().barrier();
                                         }),
                                         bench::timed([&] {
                                           kept = pool.map(bench::cheap, inputs, {}, // "block"
                                                           std::move(kept));
                                           sink += kept.empty() ? 0 : kept.back();
                                           pool.comm().barrier();
                                         }),
                                         bench::timed([&] {
                                           by_hand.prepared(in, out, all);
                                           sink += all.empty() ? 0 : all.back();
                                           MPI_Barrier(MPI_COMM_WORLD);
                                         }),
                                         bench::timed([&] {
                                           const auto results = by_hand.allocating();
                                           sink += results.empty() ? 0 : results.back();
                                           MPI_Barrier(MPI_COMM_WORLD);
                                         })},
                                        repetitions);
  if (!pool.is_root())
    return 0;
  bench::print_heading(argc, argv);
  std::printf("%zu MiB of double, %d ranks, path %s, %d repetitions (%g)\n", n >> 17,
              pool.comm().size(), pool.data_path().c_str(), repetitions, sink);
  const std::vector<std::string> names = {"Pool::map",
                                          "Pool::map_view",
                                          "Pool::map, auto",
                                          "Pool::map, memory recycled",
                                          "by hand, buffers prepared",
                                          "by hand, buffers made in the call"};
  for (std::size_t side = 0; side < seconds.size(); ++side)
    bench::print(names[side], bench::figure(seconds[side]), "s");
  const auto against = [&](std::size_t side, std::size_t other) {
    return bench::time_ratio(seconds[side], seconds[other]);
  };
  bench::print_ratio("map / prepared", against(0, 4), "<= 1.0");
  bench::print_ratio("map / made in the call", against(0, 5), "<= 0.6");
  bench::print_ratio("map_view / prepared", against(1, 4), "(beside)");
  bench::print_ratio("map, auto / prepared", against(2, 4), "(beside)");
  bench::print_ratio("map, memory recycled / prepared", against(3, 4), "(beside)");
}
