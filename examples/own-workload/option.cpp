// The price of a European call option, by simulation (P. Boyle, J. Financial Economics 4, 1977,
// doi:10.1016/0304-405X(77)90005-8). The plain loop:
//
//   for (i = 0; i < paths; ++i) {
//     double end = spot * exp((rate - volatility^2 / 2) * years + volatility * sqrt(years) *
//     normal()); sum += exp(-rate * years) * max(end - strike, 0);
//   }
//   price = sum / paths;
//
// Checked against the formula of Black and Scholes (1973).

#include <cleave/pool.hpp>
#include <cleave/workload.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numbers>
#include <sstream>

namespace {

struct Option {
  double spot = 0, strike = 0, rate = 0, volatility = 0, years = 0;

  /// What it pays, discounted to today, when chance has drawn `normal`.
  [[nodiscard]] double pays(double normal) const {
    const double growth = (rate - volatility * volatility / 2) * years;
    const double end = spot * std::exp(growth + volatility * std::sqrt(years) * normal);
    return std::exp(-rate * years) * std::max(end - strike, 0.0);
  }

  /// By Black and Scholes.
  [[nodiscard]] double price() const {
    const auto below = [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; };
    const double spread = volatility * std::sqrt(years);
    const double d =
        (std::log(spot / strike) + (rate + volatility * volatility / 2) * years) / spread;
    return spot * below(d) - strike * std::exp(-rate * years) * below(d - spread);
  }
};

struct Sums {
  double payments = 0;
  double squares = 0;
  friend Sums operator+(const Sums& a, const Sums& b) {
    return {a.payments + b.payments, a.squares + b.squares};
  }
};

class Pricing final : public cleave::Job {
public:
  Pricing(const Option& option, std::int64_t paths) : option_(option), paths_(paths) {}

  [[nodiscard]] std::int64_t tasks() const override { return paths_; }
  [[nodiscard]] std::int64_t leaves() const override {
    return cleave::Leaves(paths_, grain).count();
  }
  [[nodiscard]] std::string unit() const override { return "paths"; }

  // A leaf draws from a stream of its own, so that the price is the same bits at every layout.
  void run(cleave::Pool& pool) override {
    const auto of_leaf = [option = option_](cleave::TaskRange paths, cleave::Worker& worker) {
      cleave::RandomStream random = worker.random();
      Sums sums;
      for (std::int64_t path = paths.first; path < paths.last; ++path) {
        const double radius = std::sqrt(-2 * std::log(1 - random.uniform())); // Box and Muller
        const double payment =
            option.pays(radius * std::cos(2 * std::numbers::pi * random.uniform()));
        sums = sums + Sums{payment, payment * payment};
      }
      return sums;
    };
    const Sums sums = pool.reduce_ranges(of_leaf, paths_, std::plus<Sums>(), Sums(),
                                         cleave::LeafOptions{.grain = grain});
    const auto n = static_cast<double>(paths_);
    const double price = sums.payments / n;
    answer_ = {price, std::sqrt(std::max(sums.squares / n - price * price, 0.0) / n)};
  }

  [[nodiscard]] cleave::Verdict check() override {
    const double expected = option_.price();
    const bool ok = std::abs(answer_[0] - expected) <= 5 * answer_[1] + 1e-12; // false for a NaN
    std::ostringstream how;
    how << "price " << answer_[0] << " +- " << answer_[1] << ", " << expected
        << " by the formula of Black and Scholes";
    return {ok ? cleave::Verify::ok : cleave::Verify::failed, how.str()};
  }
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(answer_));
  }
  [[nodiscard]] cleave::Summary summary() const override {
    return {{"price", answer_[0]}, {"standard_error", answer_[1]}};
  }

private:
  static constexpr std::int64_t grain = 4096; // paths of a leaf: about 0.1 ms

  Option option_;
  std::int64_t paths_;
  std::array<double, 2> answer_{}; // price, standard error
};

cleave::Parameter number(const char* name, const char* summary, const char* value, double minimum,
                         double maximum) {
  return {.name = name,
          .summary = summary,
          .type = cleave::ParameterType::real,
          .default_value = value,
          .minimum = minimum,
          .maximum = maximum};
}

} // namespace

cleave::Workload option_workload() {
  return {.name = "option",
          .summary = "price of a European call option, by simulation",
          .parameters = {{.name = "paths",
                          .summary = "simulated courses of the price",
                          .type = cleave::ParameterType::integer,
                          .default_value = "1e7",
                          .minimum = 2,
                          .maximum = 1e12},
                         number("spot", "price of the share today", "100", 1e-6, 1e9),
                         number("strike", "price that the option is for", "105", 1e-6, 1e9),
                         number("rate", "interest without risk, a year", "0.05", -1, 1),
                         number("volatility", "of the share, a year", "0.2", 1e-4, 10),
                         number("years", "until the option ends", "1", 1e-4, 100)},
          .prepare = [](const cleave::Values& values, cleave::Pool&) {
            const Option option{values.real("spot"), values.real("strike"), values.real("rate"),
                                values.real("volatility"), values.real("years")};
            return std::make_unique<Pricing>(option, values.integer("paths"));
          }};
}
