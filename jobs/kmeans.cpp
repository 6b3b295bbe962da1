// k-means by Lloyd's iteration. The plain loop:
//
//   repeat:  for each row x:  label = the c for which |x - c|^2 is least
//            for each c:      c = mean of the rows of its label
//   until no label changes
//
// Rows stay with the ranks that have read them; a pass is one reduction over leaves of rows, whose
// fixed tree makes the answer the same bytes at every layout.

#include "jobs/kmeans.hpp"

#include "cleave/pool.hpp"
#include "cleave/workload.hpp"
#include "jobs/matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace cleave::kmeans {
namespace {

enum class Init : std::uint8_t { first, plus_plus };

struct Settings {
  std::int64_t k = 0;
  Init init = Init::first;
  std::uint64_t seed = 0;
  std::int64_t max_iterations = 0;
  double tolerance = 0;
  std::filesystem::path output;
};

/// About 0.2 ms of products, but enough rows that joining leaves is nothing beside.
std::int64_t leaf_rows(std::int64_t k, std::int64_t columns) {
  return std::clamp<std::int64_t>(2'500'000 / (k * columns), 128, 512);
}

std::vector<double> added(std::vector<double> left, const std::vector<double>& right) {
  if (left.empty())
    return right;
  for (std::size_t i = 0; i < right.size(); ++i)
    left[i] += right[i];
  return left;
}

/// A row that was chosen: score, number, values.
using Pick = std::tuple<double, std::int64_t, std::vector<double>>;

/// The rows of the greatest scores, the first of equal ones; those of -infinity never. Collective.
/// @param score (number, values) -> double
template <class Score>
std::vector<Pick> pick_rows(Pool& pool, const Matrix& matrix, std::int64_t count, Score score) {
  const auto before = [](const Pick& a, const Pick& b) {
    return std::get<0>(a) != std::get<0>(b) ? std::get<0>(a) > std::get<0>(b)
                                            : std::get<1>(a) < std::get<1>(b);
  };
  const auto best = [count, before](std::vector<Pick> left, const std::vector<Pick>& right) {
    left.insert(left.end(), right.begin(), right.end());
    std::sort(left.begin(), left.end(), before);
    left.resize(std::min(left.size(), static_cast<std::size_t>(count)));
    return left;
  };
  const auto of_leaf = [&](TaskRange numbers, std::span<const double>) {
    std::vector<std::pair<double, std::int64_t>> scores; // negative: the greatest comes first
    const TaskRange rows = matrix.rows_of(numbers);
    for (std::int64_t row = rows.first; row < rows.last; ++row)
      if (const double s = score(row, matrix.row(row));
          s > -std::numeric_limits<double>::infinity())
        scores.emplace_back(-s, row);
    const auto kept = std::min(std::ssize(scores), count);
    std::partial_sort(scores.begin(), scores.begin() + kept, scores.end());
    std::vector<Pick> picks;
    for (const auto& [s, row] : std::span(scores).first(static_cast<std::size_t>(kept))) {
      const auto values = matrix.row(row);
      picks.emplace_back(-s, row, std::vector<double>(values.begin(), values.end()));
    }
    return picks;
  };
  return pool.reduce_ranges(of_leaf, matrix.values, best, std::vector<Pick>{});
}

class KMeans : public Job {
public:
  KMeans(Settings settings, Matrix matrix, Assign* assign)
      : settings_(std::move(settings)), matrix_(std::move(matrix)), assign_(assign) {}

  [[nodiscard]] std::int64_t tasks() const override { return matrix_.shape.rows; }
  [[nodiscard]] std::int64_t leaves() const override { return matrix_.leaves.count(); }
  [[nodiscard]] std::string unit() const override { return "rows"; }
  [[nodiscard]] double memory_bytes() const override {
    return static_cast<double>(matrix_.values.local().size_bytes()) +
           2.0 * sizeof(std::int32_t) * static_cast<double>(matrix_.shape.rows);
  }

  void run(Pool& pool) override;
  [[nodiscard]] Verdict check() override { return kmeans::check(answer_); }
  [[nodiscard]] std::span<const std::byte> result() const override { return bytes_; }
  [[nodiscard]] Summary summary() const override;
  [[nodiscard]] std::string standing() const override;
  [[nodiscard]] std::vector<std::string> details() const override;
  void write_outputs() override;

private:
  [[nodiscard]] std::int64_t columns() const { return matrix_.shape.columns; }
  [[nodiscard]] std::size_t own_index(std::int64_t row) const {
    return static_cast<std::size_t>(row - matrix_.own().first);
  }
  [[nodiscard]] std::vector<double> first_rows(Pool& pool) const;
  [[nodiscard]] std::vector<double> plus_plus(Pool& pool) const;
  [[nodiscard]] std::vector<double> assign_all(Pool& pool, const Centroids& centroids);
  [[nodiscard]] std::vector<double> means(Pool& pool, const Centroids& centroids,
                                          const Tally& tally, Pass& pass) const;
  [[nodiscard]] bool is_last(const std::vector<Pass>& passes) const;
  void collect(Pool& pool, const Centroids& centroids);
  [[nodiscard]] std::vector<double> plain_tally(Pool& pool, const Centroids& centroids) const;
  void take_sample(const Pool& pool);

  Settings settings_;
  Matrix matrix_;
  Assign* assign_;
  std::vector<std::int32_t> labels_; // of this rank's rows
  Answer answer_;                    // root
  std::vector<std::byte> bytes_;     // root
};

std::vector<double> KMeans::first_rows(Pool& pool) const {
  std::vector<double> centroids;
  for (const Pick& pick :
       pick_rows(pool, matrix_, settings_.k, [k = settings_.k](std::int64_t row, const auto&) {
         return row < k ? -static_cast<double>(row) : -std::numeric_limits<double>::infinity();
       }))
    centroids.insert(centroids.end(), std::get<2>(pick).begin(), std::get<2>(pick).end());
  return centroids;
}

/// Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007: each next
/// centroid is a row drawn with a probability proportional to D^2, its squared distance to the
/// nearest one so far. The row with the least -ln(u) / D^2, u uniform, is such a draw, and a
/// reduction.
std::vector<double> KMeans::plus_plus(Pool& pool) const {
  std::vector<double> nearest(labels_.size(), std::numeric_limits<double>::infinity());
  std::vector<double> centroids;
  for (std::int64_t step = 0; step < settings_.k; ++step) {
    const auto score = [&](std::int64_t row, std::span<const double> values) {
      double weight = 1;
      if (step > 0) {
        double& least = nearest[own_index(row)];
        least =
            std::min(least, squared_distance(values, centroids.data() + (step - 1) * columns()));
        weight = least;
      }
      RandomStream random(settings_.seed, static_cast<std::uint32_t>(step),
                          static_cast<std::uint64_t>(row));
      return std::log(1 - random.uniform()) / weight; // -infinity or NaN: never
    };
    const std::vector<Pick> pick = pick_rows(pool, matrix_, 1, score);
    // No row is apart from all centroids: the rest of the clusters will be empty.
    const auto next = pick.empty()
                          ? std::vector<double>(centroids.begin(), centroids.begin() + columns())
                          : std::get<2>(pick.front());
    centroids.insert(centroids.end(), next.begin(), next.end());
  }
  return centroids;
}

std::vector<double> KMeans::assign_all(Pool& pool, const Centroids& centroids) {
  const auto of_leaf = [&](TaskRange numbers, std::span<const double> rows) {
    std::vector<double> sums(Tally::size_of(settings_.k, columns()));
    const TaskRange range = matrix_.rows_of(numbers);
    assign_(
        centroids, rows,
        std::span(labels_).subspan(own_index(range.first), static_cast<std::size_t>(range.size())),
        {settings_.k, columns(), sums});
    return sums;
  };
  return pool.reduce_ranges(of_leaf, matrix_.values, added, std::vector<double>{});
}

/// The means of the clusters. An empty one moves to the row that is farthest from its own centroid,
/// the next one to the next farthest; where no row lies apart from its centroid it stays.
std::vector<double> KMeans::means(Pool& pool, const Centroids& centroids, const Tally& tally,
                                  Pass& pass) const {
  std::vector<double> means = centroids.values();
  std::vector<std::int64_t> empty;
  for (std::int64_t c = 0; c < settings_.k; ++c) {
    if (tally.size(c) == 0)
      empty.push_back(c);
    for (std::int64_t j = 0; j < columns() && tally.size(c) > 0; ++j)
      means[static_cast<std::size_t>(c * columns() + j)] = tally.sum(c)[j] / tally.size(c);
  }
  if (empty.empty())
    return means;
  const auto distance = [&](std::int64_t row, std::span<const double> values) {
    const std::int64_t label = labels_[own_index(row)];
    const double d = squared_distance(values, centroids.values().data() + label * columns());
    return d > 0 ? d : -std::numeric_limits<double>::infinity();
  };
  const std::vector<Pick> far = pick_rows(pool, matrix_, std::ssize(empty), distance);
  for (std::size_t i = 0; i < far.size(); ++i)
    std::ranges::copy(std::get<2>(far[i]), means.begin() + empty[i] * columns());
  pass.relocated = std::ssize(far);
  return means;
}

bool KMeans::is_last(const std::vector<Pass>& passes) const {
  const Pass& last = passes.back();
  if (last.changed == 0 && last.relocated == 0)
    return true;
  if (std::ssize(passes) == settings_.max_iterations)
    return true;
  return settings_.tolerance > 0 && passes.size() > 1 && last.relocated == 0 &&
         passes[passes.size() - 2].inertia - last.inertia <= settings_.tolerance * last.inertia;
}

void KMeans::run(Pool& pool) {
  answer_ = {.rows = matrix_.shape.rows, .columns = columns(), .clusters = settings_.k};
  labels_.assign(static_cast<std::size_t>(matrix_.own().size()), -1);
  // What the iteration goes on from: the centroids of the labels, the next ones, the passes so far.
  using State = std::tuple<std::vector<double>, std::vector<double>, std::vector<Pass>>;
  std::vector<double> start;
  if (auto kept = pool.saved<State>()) {
    std::vector<double> labelled;
    std::tie(labelled, start, answer_.passes) = *std::move(kept);
    (void)assign_all(pool,
                     Centroids(std::move(labelled), columns())); // labels stay with their rows
  } else {
    start = settings_.init == Init::first ? first_rows(pool) : plus_plus(pool);
  }
  Centroids centroids(std::move(start), columns());
  for (;;) {
    std::vector<double> sums = assign_all(pool, centroids);
    const Tally tally{settings_.k, columns(), sums};
    Pass& pass = answer_.passes.emplace_back();
    pass.inertia = tally.inertia();
    pass.changed = static_cast<std::int64_t>(tally.changed());
    std::vector<double> next = means(pool, centroids, tally, pass);
    if (is_last(answer_.passes))
      break;
    pool.save([&] { return State{centroids.values(), next, answer_.passes}; });
    centroids = Centroids(std::move(next), columns());
  }
  answer_.converged = answer_.passes.back().changed + answer_.passes.back().relocated == 0;
  collect(pool, centroids);
}

/// Brings the answer, and what its check needs, to root.
void KMeans::collect(Pool& pool, const Centroids& centroids) {
  answer_.plain = plain_tally(pool, centroids);
  answer_.centroids = centroids.values();
  const Distributed<std::int32_t> labels(matrix_.leaves, matrix_.values.own_leaves(), labels_);
  answer_.labels = pool.gather(labels);
  take_sample(pool);
  bytes_.clear();
  const auto append = [this](const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  };
  if (!pool.is_root())
    return;
  append(std::vector<double>{answer_.passes.back().inertia,
                             static_cast<double>(answer_.passes.size())});
  append(answer_.centroids);
  append(answer_.labels);
}

/// The tally of the final labels, by loops that share nothing with the kernel.
std::vector<double> KMeans::plain_tally(Pool& pool, const Centroids& centroids) const {
  const auto of_leaf = [&](TaskRange numbers, std::span<const double>) {
    std::vector<double> sums(Tally::size_of(settings_.k, columns()));
    const Tally tally{settings_.k, columns(), sums};
    const TaskRange range = matrix_.rows_of(numbers);
    for (std::int64_t row = range.first; row < range.last; ++row) {
      const std::int64_t label = labels_[own_index(row)];
      const double* const centroid = centroids.values().data() + label * columns();
      for (std::int64_t j = 0; j < columns(); ++j) {
        const double x = matrix_.row(row)[static_cast<std::size_t>(j)];
        tally.inertia() += (x - centroid[j]) * (x - centroid[j]);
        tally.sum(label)[j] += x;
      }
      tally.size(label) += 1;
    }
    return sums;
  };
  return pool.reduce_ranges(of_leaf, matrix_.values, added, std::vector<double>{});
}

/// Random rows for the check, at root.
void KMeans::take_sample(const Pool& pool) {
  constexpr int count = 256;
  RandomStream random(0, 0, 0);
  for (int i = 0; i < count; ++i)
    answer_.sample.push_back(
        static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(matrix_.shape.rows)));
  std::ranges::sort(answer_.sample);
  std::vector<double> held;
  const TaskRange own = matrix_.own();
  for (const std::int64_t row : answer_.sample)
    if (row >= own.first && row < own.last)
      held.insert(held.end(), matrix_.row(row).begin(), matrix_.row(row).end());
  answer_.sample_rows = held;
  pool.comm().gather_blobs(std::as_bytes(std::span(held)),
                           [&](int, const std::vector<std::byte>& blob) {
                             const auto* numbers = reinterpret_cast<const double*>(blob.data());
                             answer_.sample_rows.insert(answer_.sample_rows.end(), numbers,
                                                        numbers + blob.size() / sizeof(double));
                           });
}

Summary KMeans::summary() const {
  return {{"inertia", answer_.passes.empty() ? 0 : answer_.passes.back().inertia},
          {"iterations", static_cast<std::int64_t>(answer_.passes.size())},
          {"converged", std::string(answer_.converged ? "yes" : "no")},
          {"sizes", sizes_of(answer_)}};
}

std::string words(std::size_t iteration, const Pass& pass, int digits) {
  std::ostringstream line;
  line.precision(digits);
  line << "iteration " << iteration << ": inertia " << pass.inertia << ", " << pass.changed
       << " labels changed";
  if (pass.relocated > 0)
    line << ", " << pass.relocated << " empty clusters moved";
  return line.str();
}

std::string KMeans::standing() const {
  return answer_.passes.empty() ? "" : words(answer_.passes.size(), answer_.passes.back(), 6);
}

std::vector<std::string> KMeans::details() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < answer_.passes.size(); ++i)
    lines.push_back(words(i + 1, answer_.passes[i], 14));
  return lines;
}

void KMeans::write_outputs() {
  if (!settings_.output.empty())
    write_arrays(settings_.output, {{"centroids", {settings_.k, columns()}, answer_.centroids},
                                    {"labels", {matrix_.shape.rows}, answer_.labels}});
}

std::unique_ptr<Job> prepare(const Values& values, Pool& pool, Assign* assign) {
  const Settings settings{.k = values.integer("k"),
                          .init = values.text("init") == "first" ? Init::first : Init::plus_plus,
                          .seed = static_cast<std::uint64_t>(values.integer("seed")),
                          .max_iterations = values.integer("max_iterations"),
                          .tolerance = values.real("tolerance"),
                          .output = values.file("output").lexically_normal()};
  pool.from_root([&] { accept_arrays_file(values, "output"); });
  Matrix matrix = read_matrix(values, pool, [k = settings.k](const TableShape& shape) {
    return leaf_rows(k, shape.columns);
  });
  if (settings.k > matrix.shape.rows)
    throw values.error("k", "must be at most the number of rows, " +
                                std::to_string(matrix.shape.rows) + ", not " +
                                std::to_string(settings.k));
  return std::make_unique<KMeans>(settings, std::move(matrix), assign);
}

std::vector<Parameter> parameters() {
  std::vector<Parameter> all = matrix_parameters();
  const auto add = [&](Parameter parameter) { all.push_back(std::move(parameter)); };
  add({.name = "k",
       .summary = "clusters",
       .type = ParameterType::integer,
       .required = true,
       .minimum = 1,
       .maximum = 1e6});
  add({.name = "init",
       .summary = "first centroids: the first k rows, or rows drawn by k-means++",
       .default_value = "first",
       .choices = {"first", "kmeans++"}});
  add({.name = "seed",
       .summary = "of k-means++: another number, other first centroids",
       .type = ParameterType::integer,
       .default_value = "0",
       .minimum = 0,
       .maximum = 0x1p62});
  add({.name = "max_iterations",
       .summary = "assignment passes at most",
       .type = ParameterType::integer,
       .default_value = "300",
       .minimum = 1,
       .maximum = 1e9});
  add({.name = "tolerance",
       .summary =
           "ends when a pass lowers the inertia by no more than this share of it; 0: when no "
           "label changes",
       .type = ParameterType::real,
       .default_value = "0",
       .minimum = 0,
       .maximum = 1});
  add({.name = "output",
       .summary = ".h5 to write centroids and labels to; --force replaces one; empty: none",
       .type = ParameterType::output_file});
  return all;
}

} // namespace

Workload workload(Assign* assign) {
  return {.name = "kmeans",
          .summary = "rows of a table in k clusters, by Lloyd's iteration",
          .parameters = parameters(),
          .prepare = [assign](const Values& values, Pool& pool) {
            return prepare(values, pool, assign);
          }};
}

} // namespace cleave::kmeans

cleave::Workload kmeans_workload() {
  return cleave::kmeans::workload(cleave::kmeans::assign);
}
