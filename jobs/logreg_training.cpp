#include "jobs/logreg_training.hpp"

#include "cleave/worker.hpp"

#include <algorithm>
#include <cmath>

namespace cleave::logreg {

int part_of(const Settings& settings, std::int64_t row) {
  RandomStream random(settings.seed, 0, static_cast<std::uint64_t>(row));
  if (random.uniform() < settings.test_share)
    return -1;
  return static_cast<int>(random.uniform() *
                          static_cast<double>(std::max<std::int64_t>(settings.folds, 1)));
}

Model fresh_model(const Settings& settings, std::int64_t columns, std::int64_t classes,
                  const Sum& sum, const Chosen& chosen) {
  const auto width = static_cast<std::size_t>(columns);
  Model model{.columns = columns, .classes = classes};
  model.weights.resize(model.weight_count());
  model.mean.resize(width);
  const auto moments = [&](int power) {
    const auto add = [&](const Rows& rows, std::span<double> sums) {
      for (std::size_t i = 0; i < rows.values.size(); ++i)
        if (rows.chosen[i / width] != 0)
          sums[i % width] += std::pow(rows.values[i] - model.mean[i % width], power);
      sums.back() += static_cast<double>(std::ranges::count(rows.chosen, 1));
    };
    std::vector<double> sums = sum(width + 1, chosen, add);
    for (double& one : sums)
      one /= std::max(sums.back(), 1.0);
    sums.pop_back();
    return sums;
  };
  model.mean = moments(1);
  model.scale = moments(2);
  for (double& scale : model.scale)
    scale = scale > 0 ? 1 / std::sqrt(scale) : 0;
  model.scale[static_cast<std::size_t>(settings.label)] = 0;
  return model;
}

double mean_loss(const Model& model, double l2, std::span<const double> sums) {
  return sums[sums.size() - 2] / std::max(sums.back(), 1.0) + penalty(model, l2);
}

void train(Model& model, const Settings& settings, const Setting& setting, AddGradient* kernel,
           const Sum& sum, const Chosen& chosen, std::vector<double>& losses,
           const std::function<void()>& after_epoch) {
  const auto add = [&](const Rows& rows, std::span<double> sums) { kernel(model, rows, sums); };
  for (std::int64_t epoch = std::ssize(losses); epoch < settings.epochs; ++epoch) {
    double loss = 0;
    for (std::uint64_t batch = 0; batch < settings.batches; ++batch) {
      const auto in_batch = [&](std::int64_t row) {
        if (settings.batches == 1 || !chosen(row))
          return chosen(row);
        RandomStream random(settings.seed, static_cast<std::uint32_t>(epoch + 1),
                            static_cast<std::uint64_t>(row));
        return random() % settings.batches == batch;
      };
      const std::vector<double> sums = sum(model.weight_count() + 2, in_batch, add);
      loss += mean_loss(model, setting.l2, sums);
      step(model, setting, sums);
    }
    losses.push_back(loss / static_cast<double>(settings.batches));
    after_epoch();
  }
}

} // namespace cleave::logreg
