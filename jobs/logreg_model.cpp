// The kernel of logistic regression. The plain loop, for each row x of class y:
//
//   p = softmax(W x);  gradient += (p - [class = y]) x^T;  loss -= log p[y]
//
// Classes lie side by side, so that the compiler makes vectors of them and sums keep their order.

#include "jobs/logreg.hpp"

#include <algorithm>
#include <cmath>

namespace cleave::logreg {
namespace {

/// The row as the model sees it.
void standardise(const Model& model, const double* row, std::vector<double>& x) {
  for (std::size_t j = 0; j < x.size(); ++j)
    x[j] = (row[j] - model.mean[j]) * model.scale[j];
}

void score(const Model& model, const std::vector<double>& x, std::vector<double>& scores) {
  const double* weights = model.weights.data();
  std::copy_n(weights + model.columns * model.classes, scores.size(), scores.begin());
  for (const double number : x) {
    for (std::size_t c = 0; c < scores.size(); ++c)
      scores[c] += number * weights[c];
    weights += scores.size();
  }
}

/// Scores to probabilities. @return the loss of a row of this class
double soften(std::vector<double>& scores, std::int32_t label) {
  const double greatest = *std::ranges::max_element(scores);
  const double own = scores[static_cast<std::size_t>(label)] - greatest;
  double sum = 0;
  for (double& s : scores)
    sum += s = std::exp(s - greatest);
  for (double& s : scores)
    s /= sum;
  return std::log(sum) - own;
}

} // namespace

void add_gradient(const Model& model, const Rows& rows, std::span<double> sums) {
  std::vector<double> x(static_cast<std::size_t>(model.columns));
  std::vector<double> p(static_cast<std::size_t>(model.classes));
  double& loss = sums[sums.size() - 2];
  double& count = sums.back();
  for (std::size_t row = 0; row < rows.labels.size(); ++row) {
    if (rows.chosen[row] == 0)
      continue;
    standardise(model, rows.values.data() + row * x.size(), x);
    score(model, x, p);
    loss += soften(p, rows.labels[row]);
    count += 1;
    p[static_cast<std::size_t>(rows.labels[row])] -= 1;
    double* gradient = sums.data();
    for (const double number : x) {
      for (std::size_t c = 0; c < p.size(); ++c)
        gradient[c] += number * p[c];
      gradient += p.size();
    }
    for (std::size_t c = 0; c < p.size(); ++c)
      gradient[c] += p[c];
  }
}

std::int32_t predict(const Model& model, std::span<const double> row) {
  std::vector<double> x(row.size());
  std::vector<double> scores(static_cast<std::size_t>(model.classes));
  standardise(model, row.data(), x);
  score(model, x, scores);
  return static_cast<std::int32_t>(std::ranges::max_element(scores) - scores.begin());
}

void step(Model& model, const Setting& setting, std::span<const double> sums) {
  const double rows = std::max(sums.back(), 1.0);
  const auto penalised = static_cast<std::size_t>(model.columns * model.classes);
  for (std::size_t i = 0; i < model.weight_count(); ++i)
    model.weights[i] -=
        setting.rate * (sums[i] / rows + (i < penalised ? setting.l2 * model.weights[i] : 0));
}

double penalty(const Model& model, double l2) {
  double squares = 0;
  for (std::int64_t i = 0; i < model.columns * model.classes; ++i)
    squares +=
        model.weights[static_cast<std::size_t>(i)] * model.weights[static_cast<std::size_t>(i)];
  return l2 / 2 * squares;
}

} // namespace cleave::logreg
