// Multinomial logistic regression by gradient descent. The plain loop:
//
//   repeat:  for each row x of class y:  gradient += (softmax(W x) - [class = y]) x^T
//            W -= rate * (gradient / rows + l2 * W)
//
// A step is one reduction over leaves of rows, which stay with the ranks that have read them. The
// settings of a grid are compared by cross-validation, a task for each fold of each setting.

#include "cleave/pool.hpp"
#include "cleave/workload.hpp"
#include "jobs/logreg_training.hpp"
#include "jobs/matrix.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

namespace cleave::logreg {
namespace {

constexpr std::size_t most_classes = 1000;

std::vector<double> added(std::vector<double> left, const std::vector<double>& right) {
  if (left.empty())
    return right;
  for (std::size_t i = 0; i < right.size(); ++i)
    left[i] += right[i];
  return left;
}

class LogReg : public Job {
public:
  LogReg(Settings settings, Matrix matrix, std::vector<double> classes, AddGradient* kernel)
      : settings_(std::move(settings)), matrix_(std::move(matrix)), classes_(std::move(classes)),
        kernel_(kernel) {
    const TaskRange own = matrix_.own();
    for (std::int64_t row = own.first; row < own.last; ++row)
      labels_.push_back(class_of(matrix_.row(row)));
    for (std::int64_t row = 0; row < matrix_.shape.rows; ++row)
      test_rows_ += part_of(settings_, row) < 0 ? 1 : 0;
  }

  [[nodiscard]] std::int64_t test_rows() const { return test_rows_; }
  [[nodiscard]] std::int64_t tasks() const override { return matrix_.shape.rows; }
  [[nodiscard]] std::int64_t leaves() const override { return matrix_.leaves.count(); }
  [[nodiscard]] double work() const override {
    const auto trainings =
        1 + std::ssize(settings_.grid) * std::max<std::int64_t>(settings_.folds - 1, 0);
    return static_cast<double>((tasks() - test_rows_) * settings_.epochs * trainings);
  }
  [[nodiscard]] std::string unit() const override { return "rows"; }
  [[nodiscard]] double memory_bytes() const override {
    const double whole =
        settings_.folds > 1 ? 2.0 * 8.0 * static_cast<double>(tasks() * matrix_.shape.columns) : 0;
    return static_cast<double>(matrix_.values.local().size_bytes()) + whole;
  }

  void run(Pool& pool) override;
  [[nodiscard]] Verdict check() override { return logreg::check(answer_); }
  [[nodiscard]] std::span<const std::byte> result() const override { return bytes_; }
  [[nodiscard]] Summary summary() const override;
  [[nodiscard]] std::string standing() const override;
  [[nodiscard]] std::vector<std::string> details() const override;
  void write_outputs() override;

private:
  [[nodiscard]] std::int32_t class_of(std::span<const double> row) const {
    const double value = row[static_cast<std::size_t>(settings_.label)];
    return static_cast<std::int32_t>(std::ranges::lower_bound(classes_, value) - classes_.begin());
  }
  [[nodiscard]] std::size_t class_count() const { return classes_.size(); }
  [[nodiscard]] Sum over_ranks(Pool& pool) const;
  [[nodiscard]] Setting best_setting(Pool& pool);
  void evaluate(Pool& pool, Model& model, const Setting& setting);
  void compare_slopes(const Sum& sum, Model model, const Chosen& chosen);
  void keep_bytes();
  [[nodiscard]] std::vector<Array> arrays() const;

  Settings settings_;
  Matrix matrix_;
  std::vector<double> classes_; // ascending
  AddGradient* kernel_;
  std::vector<std::int32_t> labels_; // of this rank's rows
  std::int64_t test_rows_ = 0;
  Answer answer_;
  Model model_;
  Setting chosen_;
  std::vector<double> cross_validated_; // root: mean accuracy by setting
  std::vector<std::byte> bytes_;        // root
};

Sum LogReg::over_ranks(Pool& pool) const {
  return [this, &pool](std::size_t size, const Chosen& chosen, const Add& add) {
    const auto of_leaf = [&](TaskRange numbers, std::span<const double> values) {
      std::vector<double> sums(size);
      const TaskRange rows = matrix_.rows_of(numbers);
      std::vector<char> marks;
      for (std::int64_t row = rows.first; row < rows.last; ++row)
        marks.push_back(chosen(row) ? 1 : 0);
      const auto labels =
          std::span(labels_).subspan(static_cast<std::size_t>(rows.first - matrix_.own().first),
                                     static_cast<std::size_t>(rows.size()));
      add({values, labels, marks}, sums);
      return sums;
    };
    return pool.reduce_ranges(of_leaf, matrix_.values, added, std::vector<double>{});
  };
}

/// The first setting of the greatest accuracy, by cross-validation: each task trains on all folds
/// but one, and tests on that. A task reads the whole table, of which each node has one copy.
Setting LogReg::best_setting(Pool& pool) {
  const Shared<std::vector<double>> values = pool.share(pool.gather(matrix_.values));
  const auto columns = matrix_.shape.columns;
  const auto width = static_cast<std::size_t>(columns);
  std::vector<std::int32_t> labels;
  std::vector<int> parts;
  for (std::int64_t row = 0; row < tasks(); ++row) {
    labels.push_back(class_of((*values).subspan(static_cast<std::size_t>(row) * width, width)));
    parts.push_back(part_of(settings_, row));
  }
  const auto accuracy = [&](std::int64_t task) {
    const auto fold = static_cast<int>(task % settings_.folds);
    const Setting& setting = settings_.grid[static_cast<std::size_t>(task / settings_.folds)];
    const Sum sum = [&](std::size_t size, const Chosen& chosen, const Add& add) {
      std::vector<char> marks;
      for (std::int64_t row = 0; row < tasks(); ++row)
        marks.push_back(chosen(row) ? 1 : 0);
      std::vector<double> sums(size);
      add({*values, labels, marks}, sums);
      return sums;
    };
    const auto part = [&](std::int64_t row) { return parts[static_cast<std::size_t>(row)]; };
    const auto trained_on = [&](std::int64_t row) { return part(row) >= 0 && part(row) != fold; };
    Model model = fresh_model(settings_, columns, std::ssize(classes_), sum, trained_on);
    std::vector<double> losses;
    train(model, settings_, setting, kernel_, sum, trained_on, losses, [] {});
    double rows = 0;
    double right = 0;
    for (std::size_t row = 0; row < labels.size(); ++row)
      if (parts[row] == fold) {
        rows += 1;
        right += predict(model, (*values).subspan(row * width, width)) == labels[row] ? 1 : 0;
      }
    return rows > 0 ? right / rows : 0;
  };
  const auto count = std::ssize(settings_.grid) * settings_.folds;
  const std::vector<double> accuracies = pool.map(accuracy, count);
  cross_validated_.clear();
  for (auto at = accuracies.begin(); at != accuracies.end(); at += settings_.folds)
    cross_validated_.push_back(std::accumulate(at, at + settings_.folds, 0.0) /
                               static_cast<double>(settings_.folds));
  return settings_.grid[static_cast<std::size_t>(pool.from_root([&] {
    return std::int64_t{std::ranges::max_element(cross_validated_) - cross_validated_.begin()};
  }))];
}

void LogReg::run(Pool& pool) {
  answer_ = {.monotone = settings_.batches == 1};
  const Sum sum = over_ranks(pool);
  const auto to_train = [this](std::int64_t row) { return part_of(settings_, row) >= 0; };
  // What training goes on from: the setting and how it was found, the model, the losses so far.
  using Numbers = std::vector<double>;
  using State = std::tuple<Setting, Numbers, Numbers, Numbers, Numbers, Numbers>;
  Model model;
  if (auto kept = pool.saved<State>()) {
    model = {.columns = matrix_.shape.columns, .classes = std::ssize(classes_)};
    auto& [chosen, cross_validated, mean, scale, weights, losses] = *kept;
    chosen_ = chosen;
    cross_validated_ = std::move(cross_validated);
    model.mean = std::move(mean);
    model.scale = std::move(scale);
    model.weights = std::move(weights);
    answer_.losses = std::move(losses);
  } else {
    chosen_ = settings_.folds > 1 ? best_setting(pool) : settings_.grid.front();
    model = fresh_model(settings_, matrix_.shape.columns, std::ssize(classes_), sum, to_train);
  }
  train(model, settings_, chosen_, kernel_, sum, to_train, answer_.losses, [&] {
    pool.save([&] {
      return State{chosen_,     cross_validated_, model.mean,
                   model.scale, model.weights,    answer_.losses};
    });
  });
  evaluate(pool, model, chosen_);
  compare_slopes(sum, model, to_train);
  model_ = std::move(model);
  if (pool.is_root())
    keep_bytes();
}

/// Loss and predictions of the trained model, by the kernel and by the definition.
void LogReg::evaluate(Pool& pool, Model& model, const Setting& setting) {
  const Sum sum = over_ranks(pool);
  const auto to_test = [this](std::int64_t row) { return part_of(settings_, row) < 0; };
  const auto to_train = [&](std::int64_t row) { return !to_test(row); };
  answer_.losses.push_back(mean_loss(
      model, setting.l2,
      sum(model.weight_count() + 2, to_train,
          [&](const Rows& rows, std::span<double> sums) { kernel_(model, rows, sums); })));
  const std::size_t classes = class_count();
  const auto width = static_cast<std::size_t>(model.columns);
  const std::vector<double> confusion =
      sum(classes * classes, to_test, [&](const Rows& rows, std::span<double> sums) {
        for (std::size_t row = 0; row < rows.labels.size(); ++row)
          if (rows.chosen[row] != 0)
            sums[static_cast<std::size_t>(rows.labels[row]) * classes +
                 static_cast<std::size_t>(
                     predict(model, rows.values.subspan(row * width, width)))] += 1;
      });
  answer_.confusion.assign(confusion.begin(), confusion.end());
  const auto plain = [&](const Chosen& chosen) {
    return sum(3, chosen, [&](const Rows& rows, std::span<double> sums) {
      const Plain defined = define(model, rows);
      sums[0] += defined.loss;
      sums[1] += defined.rows;
      sums[2] += defined.right;
    });
  };
  const std::vector<double> trained = plain(to_train);
  answer_.plain_loss = trained[0] / trained[1] + penalty(model, setting.l2);
  answer_.plain_right = plain(to_test)[2];
  answer_.weights = model.weights;
}

/// The slope of the mean loss at random weights along a random direction, both ways.
void LogReg::compare_slopes(const Sum& sum, Model model, const Chosen& chosen) {
  constexpr double distance = 1e-5;
  RandomStream random(settings_.seed, 0, 0);
  std::vector<double> weights;
  std::vector<double> direction;
  for (std::size_t i = 0; i < model.weight_count(); ++i) {
    weights.push_back(0.2 * (random.uniform() - 0.5));
    direction.push_back(random.uniform() - 0.5);
  }
  const auto loss_at = [&](double along) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      model.weights[i] = weights[i] + along * direction[i];
    const auto sums = sum(2, chosen, [&](const Rows& rows, std::span<double> all) {
      const Plain defined = define(model, rows);
      all[0] += defined.loss;
      all[1] += defined.rows;
    });
    return sums[0] / sums[1];
  };
  answer_.plain_slope = (loss_at(distance) - loss_at(-distance)) / (2 * distance);
  model.weights = weights;
  const auto sums =
      sum(model.weight_count() + 2, chosen,
          [&](const Rows& rows, std::span<double> all) { kernel_(model, rows, all); });
  answer_.slope = std::inner_product(direction.begin(), direction.end(), sums.begin(), 0.0) /
                  std::max(sums.back(), 1.0);
}

void LogReg::keep_bytes() {
  bytes_.clear();
  const auto append = [this](const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  };
  append(answer_.weights);
  append(answer_.losses);
  append(answer_.confusion);
  append(cross_validated_);
}

Summary LogReg::summary() const {
  double right = 0;
  for (std::size_t c = 0; c < class_count() && !answer_.confusion.empty(); ++c)
    right += static_cast<double>(answer_.confusion[c * class_count() + c]);
  Summary facts{{"accuracy", right / static_cast<double>(test_rows_)},
                {"test_rows", test_rows_},
                {"loss", answer_.losses.empty() ? 0 : answer_.losses.back()},
                {"rate", chosen_.rate},
                {"l2", chosen_.l2},
                {"classes", classes_},
                {"confusion", answer_.confusion},
                {"losses", answer_.losses}};
  if (settings_.folds > 1)
    facts.insert(facts.begin() + 5, {"cross_validated", cross_validated_});
  return facts;
}

std::string LogReg::standing() const {
  if (answer_.losses.empty())
    return settings_.folds > 1 ? "comparing settings" : "";
  std::ostringstream words;
  words << "epoch " << answer_.losses.size() << " of " << settings_.epochs << ": loss "
        << answer_.losses.back();
  return words.str();
}

std::vector<std::string> LogReg::details() const {
  std::vector<std::string> lines;
  const auto add = [&](const auto&... parts) {
    std::ostringstream line;
    (line << ... << parts);
    lines.push_back(line.str());
  };
  for (std::size_t i = 0; i < cross_validated_.size(); ++i)
    add("rate ", settings_.grid[i].rate, ", l2 ", settings_.grid[i].l2, ": accuracy ",
        cross_validated_[i], " in ", settings_.folds, " folds");
  for (std::size_t i = 0; i + 1 < answer_.losses.size(); ++i)
    add("epoch ", i + 1, ": loss ", answer_.losses[i]);
  for (std::size_t c = 0; c < class_count() && !answer_.confusion.empty(); ++c) {
    std::ostringstream row;
    for (std::size_t p = 0; p < class_count(); ++p)
      row << " " << answer_.confusion[c * class_count() + p];
    add("class ", classes_[c], " predicted as each:", row.str());
  }
  return lines;
}

/// Weights of the columns as the file has them, without the label.
std::vector<Array> LogReg::arrays() const {
  const std::size_t classes = class_count();
  std::vector<double> weights;
  std::vector<double> intercepts(model_.weights.end() - std::ssize(classes_), model_.weights.end());
  for (std::size_t c = 0; c < classes; ++c)
    for (std::size_t j = 0; j < model_.mean.size(); ++j) {
      const double weight = model_.weights[j * classes + c] * model_.scale[j];
      intercepts[c] -= weight * model_.mean[j];
      if (static_cast<std::int64_t>(j) != settings_.label)
        weights.push_back(weight);
    }
  const auto count = std::ssize(classes_);
  const std::vector<std::int32_t> confusion(answer_.confusion.begin(), answer_.confusion.end());
  return {{"classes", {count}, classes_},
          {"weights", {count, model_.columns - 1}, weights},
          {"intercepts", {count}, intercepts},
          {"confusion", {count, count}, confusion},
          {"losses", {std::ssize(answer_.losses)}, answer_.losses}};
}

void LogReg::write_outputs() {
  if (!settings_.output.empty())
    write_arrays(settings_.output, arrays());
}

/// The different values of the label's column, ascending. Collective.
std::vector<double> find_classes(const Values& values, Pool& pool, const Matrix& matrix,
                                 std::int64_t label) {
  const auto merge = [](std::vector<double> left, const std::vector<double>& right) {
    left.insert(left.end(), right.begin(), right.end());
    std::ranges::sort(left);
    left.erase(std::unique(left.begin(), left.end()), left.end());
    left.resize(std::min(left.size(), most_classes + 1));
    return left;
  };
  const auto of_leaf = [&](TaskRange, std::span<const double> rows) {
    std::vector<double> found;
    for (std::size_t i = static_cast<std::size_t>(label); i < rows.size();
         i += static_cast<std::size_t>(matrix.shape.columns))
      found.push_back(rows[i]);
    return merge(std::move(found), {});
  };
  std::vector<double> classes =
      pool.reduce_ranges(of_leaf, matrix.values, merge, std::vector<double>{});
  if (classes.size() < 2 || classes.size() > most_classes)
    throw values.error("label", classes.size() < 2
                                    ? "its column holds one value alone; there is nothing to learn"
                                    : "its column holds more than 1000 values; give a column of "
                                      "classes");
  return classes;
}

std::unique_ptr<Job> prepare(const Values& values, Pool& pool, AddGradient* kernel) {
  Settings settings = settings_of(values);
  Matrix matrix = read_matrix(values, pool, [](const TableShape& shape) {
    return std::clamp<std::int64_t>(25'000 / shape.columns, 16, 512);
  });
  settings.label = find_label(values, matrix.shape);
  std::vector<double> classes = find_classes(values, pool, matrix, settings.label);
  auto job =
      std::make_unique<LogReg>(std::move(settings), std::move(matrix), std::move(classes), kernel);
  if (job->test_rows() == 0 || job->test_rows() == job->tasks())
    throw values.error("test_share", "leaves no rows of the " + std::to_string(job->tasks()) +
                                         " to " +
                                         (job->test_rows() == 0 ? "test with" : "train on"));
  return job;
}

} // namespace

Workload workload(AddGradient* kernel) {
  return {.name = "logreg",
          .summary = "classes of the rows of a table by multinomial logistic regression",
          .parameters = parameters(),
          .prepare = [kernel](const Values& values, Pool& pool) {
            return prepare(values, pool, kernel);
          }};
}

} // namespace cleave::logreg

cleave::Workload logreg_workload() {
  return cleave::logreg::workload(cleave::logreg::add_gradient);
}
