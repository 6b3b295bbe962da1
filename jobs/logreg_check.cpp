// The definition of logistic regression, and the check of a trained model by it.

#include "jobs/logreg.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

namespace cleave::logreg {
namespace {

/// The score of a class, by the definition.
double score_of(const Model& model, std::span<const double> row, std::int64_t c) {
  double score = model.weights[static_cast<std::size_t>(model.columns * model.classes + c)];
  for (std::int64_t j = 0; j < model.columns; ++j) {
    const auto column = static_cast<std::size_t>(j);
    score += model.weights[static_cast<std::size_t>(j * model.classes + c)] *
             (row[column] - model.mean[column]) * model.scale[column];
  }
  return score;
}

bool near(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * (1 + std::abs(a)); // a NaN compares false
}

std::string find_fault(const Answer& answer) {
  if (answer.losses.size() < 2 || answer.weights.empty() || answer.confusion.empty())
    return "there is no answer";
  if (!near(answer.slope, answer.plain_slope, 1e-6))
    return "the gradient is not that of the loss by finite differences";
  if (!near(answer.losses.back(), answer.plain_loss, 1e-10))
    return "the loss is not what the definition gives";
  for (std::size_t i = 1; i < answer.losses.size() && answer.monotone; ++i)
    if (!(answer.losses[i] <= answer.losses[i - 1] * (1 + 1e-12)))
      return "the loss rose in epoch " + std::to_string(i) + ": rate is too large";
  if (!(answer.losses.back() < answer.losses.front()))
    return "the loss did not fall: rate does not suit the data";
  const auto classes = static_cast<std::size_t>(std::lround(std::sqrt(answer.confusion.size())));
  double right = 0;
  for (std::size_t c = 0; c < classes; ++c)
    right += static_cast<double>(answer.confusion[c * classes + c]);
  return right == answer.plain_right ? "" : "the predictions are not those of the definition";
}

} // namespace

Plain define(const Model& model, const Rows& rows) {
  Plain all;
  const auto columns = static_cast<std::size_t>(model.columns);
  for (std::size_t row = 0; row < rows.labels.size(); ++row) {
    if (rows.chosen[row] == 0)
      continue;
    std::vector<double> scores;
    for (std::int64_t c = 0; c < model.classes; ++c)
      scores.push_back(score_of(model, rows.values.subspan(row * columns, columns), c));
    const auto best = std::ranges::max_element(scores);
    double sum = 0;
    for (const double score : scores)
      sum += std::exp(score - *best);
    all.loss += *best + std::log(sum) - scores[static_cast<std::size_t>(rows.labels[row])];
    all.rows += 1;
    all.right += best - scores.begin() == rows.labels[row] ? 1 : 0;
  }
  return all;
}

Verdict check(const Answer& answer) {
  const std::string fault = find_fault(answer);
  if (!fault.empty())
    return {Verify::failed, fault};
  std::ostringstream how;
  how << "gradient equals finite differences, loss and predictions the plain definition; loss from "
      << answer.losses.front() << " to " << answer.losses.back();
  return {Verify::ok, how.str()};
}

} // namespace cleave::logreg
