/// @file
/// How logistic regression is trained: what the user may set, which rows serve for what, and the
/// descent, over rows that lie with the ranks or in one place. For logreg*.cpp alone.
#pragma once

#include "cleave/table.hpp"
#include "cleave/workload.hpp"
#include "jobs/logreg.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace cleave::logreg {

/// What the user sets.
struct Settings {
  std::vector<Setting> grid = {};
  std::int64_t label = 0; // its column
  std::uint64_t seed = 0;
  std::int64_t epochs = 0;
  std::uint64_t batches = 0;
  double test_share = 0;
  std::int64_t folds = 0;
  std::filesystem::path output;
};

/// The workload's parameters.
[[nodiscard]] std::vector<Parameter> parameters();
/// All but the label's column. @throws Error bad_input
[[nodiscard]] Settings settings_of(const Values& values);
/// The column of the labels. @throws Error bad_input
[[nodiscard]] std::int64_t find_label(const Values& values, const TableShape& shape);

/// Whether a row counts.
using Chosen = std::function<bool(std::int64_t row)>;
/// Adds what rows contribute to sums.
using Add = std::function<void(const Rows& rows, std::span<double> sums)>;
/// `size` sums over the chosen of all rows.
using Sum = std::function<std::vector<double>(std::size_t size, const Chosen& chosen, const Add&)>;

/// The part of a row: -1 to test with, else its fold. A function of seed and number alone.
[[nodiscard]] int part_of(const Settings& settings, std::int64_t row);

/// A model of weights 0 whose columns have mean 0 and variance 1 over chosen rows.
[[nodiscard]] Model fresh_model(const Settings& settings, std::int64_t columns,
                                std::int64_t classes, const Sum& sum, const Chosen& chosen);

/// The mean loss of chosen rows, with the penalty. @param sums as add_gradient leaves them
[[nodiscard]] double mean_loss(const Model& model, double l2, std::span<const double> sums);

/// Trains a model on chosen rows, for the epochs whose loss is not known yet.
/// @param losses gets the loss in each epoch @param after_epoch told when each is over
void train(Model& model, const Settings& settings, const Setting& setting, AddGradient* kernel,
           const Sum& sum, const Chosen& chosen, std::vector<double>& losses,
           const std::function<void()>& after_epoch);

} // namespace cleave::logreg
