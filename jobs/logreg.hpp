/// @file
/// The parts of multinomial logistic regression: the model, the kernel that its training repeats,
/// and the plain definition that its check compares with (C. M. Bishop, "Pattern Recognition and
/// Machine Learning", 2006, section 4.3.4).
#pragma once

#include "cleave/workload.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cleave::logreg {

/// Scores of the classes are intercept + sum over columns of weight * (x - mean) * scale, and
/// probabilities exp(score) over their sum.
struct Model {
  std::int64_t columns = 0;
  std::int64_t classes = 0;
  std::vector<double> mean = {};    ///< by column
  std::vector<double> scale = {};   ///< by column; 0 leaves it out, as the one that holds labels
  std::vector<double> weights = {}; ///< (columns + 1) x classes, the intercepts last

  [[nodiscard]] std::size_t weight_count() const noexcept {
    return static_cast<std::size_t>((columns + 1) * classes);
  }
};

/// Some rows of a table, and which of them count.
struct Rows {
  std::span<const double> values;       ///< row by row, model.columns numbers each
  std::span<const std::int32_t> labels; ///< class of each
  std::span<const char> chosen;         ///< whether each counts
};

/// Adds to `sums` the gradient of the losses of chosen rows, in the order of the weights; behind it
/// the losses, then the number of these rows. The loss of a row is minus the logarithm of the
/// probability of its class. Local, thread-safe. The same bits with every instruction set.
/// @param sums model.weight_count() + 2 numbers
void add_gradient(const Model& model, const Rows& rows, std::span<double> sums);
using AddGradient = decltype(add_gradient);

/// The class of the greatest score, the first of several. Local, thread-safe.
[[nodiscard]] std::int32_t predict(const Model& model, std::span<const double> row);

/// What chosen rows add up to by the definition, sharing nothing with the kernel.
struct Plain {
  double loss = 0;
  double rows = 0;
  double right = 0; ///< rows whose class is predicted
};
/// Local, thread-safe.
[[nodiscard]] Plain define(const Model& model, const Rows& rows);

/// How a model is trained.
struct Setting {
  double rate = 0; ///< step length
  double l2 = 0;   ///< adds l2 / 2 times the squares of all weights but intercepts to the mean loss
};

/// Takes a step down the gradient of the mean loss. @param sums as add_gradient leaves them
void step(Model& model, const Setting& setting, std::span<const double> sums);

/// What the penalty adds to the mean loss.
[[nodiscard]] double penalty(const Model& model, double l2);

/// What root keeps of a run.
struct Answer {
  std::vector<double> losses = {};          ///< in each epoch, then of the trained model
  std::vector<std::int64_t> confusion = {}; ///< test rows: class x predicted class
  std::vector<double> weights = {};
  bool monotone = false;  ///< each step saw all rows: the loss must not rise
  double plain_loss = 0;  ///< of the trained model, by the definition
  double plain_right = 0; ///< test rows that it predicts right, by the definition
  double slope = 0;       ///< along a random direction, by the gradient
  double plain_slope = 0; ///< and by a difference of losses
};

/// Checks an answer: the gradient against finite differences, the loss and the right predictions
/// against the definition, and that the loss fell. Local.
[[nodiscard]] Verdict check(const Answer& answer);

/// The workload `logreg` on this kernel.
[[nodiscard]] Workload workload(AddGradient* kernel);

} // namespace cleave::logreg
