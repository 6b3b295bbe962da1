// The check of k-means, by loops that share nothing with the kernel.

#include "jobs/kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>

namespace cleave::kmeans {
namespace {

double squared_norm(std::span<const double> row) {
  return std::inner_product(row.begin(), row.end(), row.begin(), 0.0);
}

double squared_difference(std::span<const double> row, const double* other) {
  return std::transform_reduce(row.begin(), row.end(), other, 0.0, std::plus<>(),
                               [](double x, double y) { return (x - y) * (x - y); });
}

/// Whether each row of the sample has the label of the nearest centroid.
std::string fault_in_sample(const Answer& answer) {
  const auto width = static_cast<std::size_t>(answer.columns);
  for (std::size_t i = 0; i < answer.sample.size(); ++i) {
    const auto row = std::span(answer.sample_rows).subspan(i * width, width);
    const auto squared = [&](std::int64_t c) {
      return squared_difference(row, answer.centroids.data() + c * answer.columns);
    };
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t c = 0; c < answer.clusters; ++c)
      least = std::min(least, squared(c));
    const std::int64_t label = answer.labels[static_cast<std::size_t>(answer.sample[i])];
    // Two centroids may be equally far but for rounding errors, of numbers as large as the row's.
    if (!(squared(label) <= least + 1e-9 * least + 1e-12 * squared_norm(row)))
      return "row " + std::to_string(answer.sample[i]) + " is not in the cluster nearest to it";
  }
  return "";
}

/// Whether the clusters' sizes, and their centroids after convergence, are those of a plain tally.
std::string fault_in_clusters(const Answer& answer) {
  std::vector<double> numbers = answer.plain;
  const Tally plain{answer.clusters, answer.columns, numbers};
  const double inertia = answer.passes.back().inertia;
  if (!(std::abs(plain.inertia() - inertia) <= 1e-11 * inertia))
    return "the inertia is not the sum of the squared distances";
  const std::vector<std::int64_t> sizes = sizes_of(answer);
  const double spread = std::sqrt(inertia / static_cast<double>(answer.rows));
  for (std::int64_t c = 0; c < answer.clusters; ++c) {
    if (plain.size(c) != static_cast<double>(sizes[static_cast<std::size_t>(c)]))
      return "cluster " + std::to_string(c) + " is not of its size";
    for (std::int64_t j = 0; j < answer.columns && plain.size(c) > 0 && answer.converged; ++j) {
      const double mean = plain.sum(c)[j] / plain.size(c);
      const double centroid = answer.centroids[static_cast<std::size_t>(c * answer.columns + j)];
      if (!(std::abs(mean - centroid) <= 1e-10 * (std::abs(mean) + spread)))
        return "centroid " + std::to_string(c) + " is not the mean of its rows";
    }
  }
  return "";
}

std::string find_fault(const Answer& answer) {
  if (answer.passes.empty() || answer.rows == 0 || std::ssize(answer.labels) != answer.rows ||
      std::ssize(answer.centroids) != answer.clusters * answer.columns ||
      answer.plain.size() != Tally::size_of(answer.clusters, answer.columns))
    return "the answer is not of the input's size";
  if (std::ranges::any_of(answer.labels,
                          [&](std::int32_t l) { return l < 0 || l >= answer.clusters; }))
    return "a label is no cluster's number";
  for (std::size_t i = 1; i < answer.passes.size(); ++i)
    if (!(answer.passes[i].inertia <= answer.passes[i - 1].inertia * (1 + 1e-12)))
      return "the inertia rose in iteration " + std::to_string(i + 1);
  const std::string fault = fault_in_clusters(answer);
  return fault.empty() ? fault_in_sample(answer) : fault;
}

} // namespace

std::vector<std::int64_t> sizes_of(const Answer& answer) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(answer.clusters));
  for (const std::int32_t label : answer.labels)
    if (label >= 0 && label < answer.clusters)
      ++sizes[static_cast<std::size_t>(label)];
  return sizes;
}

Verdict check(const Answer& answer) {
  const std::string fault = find_fault(answer);
  if (!fault.empty())
    return {Verify::failed, fault};
  return {Verify::ok, "inertia equals the plain sum of squared distances and never rose; " +
                          std::to_string(answer.sample.size()) +
                          " random rows are in the nearest cluster" +
                          (answer.converged ? "; centroids are the means of their rows" : "")};
}

} // namespace cleave::kmeans
