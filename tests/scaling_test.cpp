#include "cleave/error.hpp"
#include "cleave/scaling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

namespace cleave {
namespace {

using Times = std::function<double(double workers)>;

std::vector<ScalingPoint> measured(const Times& time, double noise = 0, int repeats = 1) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal; // of the noise, in units of it
  std::vector<ScalingPoint> points;
  for (int i = 0; i < repeats; ++i)
    for (const double p : {1, 2, 3, 4, 8, 16, 32})
      points.push_back({.workers = p, .time_s = time(p) * (1 + noise * normal(random))});
  return points;
}

TEST(StrongScaling, FollowsTheFormulas) {
  const ScalingPoint base{.workers = 2, .time_s = 60, .time = Interval{58, 61}};
  const ScalingPoint point{.workers = 8, .time_s = 20, .time = Interval{19, 22}};
  const Scaling scaling = strong_scaling(base, point);
  EXPECT_DOUBLE_EQ(scaling.speedup.value, 6);
  EXPECT_DOUBLE_EQ(scaling.speedup.interval->lo, 2 * 58.0 / 22);
  EXPECT_DOUBLE_EQ(scaling.speedup.interval->hi, 2 * 61.0 / 19);
  EXPECT_DOUBLE_EQ(scaling.efficiency.value, 0.75);
  EXPECT_DOUBLE_EQ(scaling.efficiency.interval->hi, 61.0 / 4 / 19);
  EXPECT_DOUBLE_EQ(scaling.karp_flatt.value(), (1.0 / 6 - 1.0 / 8) / (7.0 / 8));
  const Scaling itself = strong_scaling(base, base);
  EXPECT_EQ(itself.speedup.value, 2);
  EXPECT_FALSE(itself.speedup.interval);
  EXPECT_FALSE(strong_scaling({.workers = 1, .time_s = 1}, {.workers = 1, .time_s = 1}).karp_flatt);
}

TEST(WeakScaling, CountsTheWorkThatWasDone) {
  const ScalingPoint base{.workers = 1, .time_s = 10, .work = 100};
  const ScalingPoint point{.workers = 4, .time_s = 12, .work = 420};
  const Scaling scaling = weak_scaling(base, point);
  EXPECT_DOUBLE_EQ(scaling.efficiency.value, (420.0 / 48) / (100.0 / 10));
  EXPECT_DOUBLE_EQ(scaling.speedup.value, 4 * scaling.efficiency.value);
}

TEST(BalanceTest, FactorsMultiply) {
  const std::vector<double> busy{4, 4, 2, 2, 2};
  const std::vector<int> node{0, 0, 1, 1, 1};
  const Balance found = balance(busy, node, 5);
  EXPECT_DOUBLE_EQ(found.load_balance, 14.0 / 5 / 4);
  EXPECT_DOUBLE_EQ(found.between_nodes, 14.0 / 5 / 4); // node 0 is busy 4 s on average
  EXPECT_DOUBLE_EQ(found.in_nodes, 1);
  EXPECT_DOUBLE_EQ(found.communication, 0.8);
  EXPECT_DOUBLE_EQ(found.parallel_efficiency, 14.0 / 5 / 5);
  EXPECT_EQ(balance(std::vector{0.0}, std::vector{0}, 1).parallel_efficiency, 0);
  EXPECT_THROW((void)balance(busy, std::vector{0}, 5), Error);
}

TEST(LawFit, RejectsAShareThatIsMoreThanTheWhole) {
  const auto slower = [](double p) { return 7 * (1.2 - 0.2 / p); };
  EXPECT_EQ(LawFit::amdahl(measured(slower)).rejected(), "f = 1.2 is more than 1");
}

TEST(LawFit, RecoversWhatMadeTheTimes) {
  const auto amdahl = [](double p) { return 7 * (0.05 + 0.95 / p); };
  const LawFit found = LawFit::amdahl(measured(amdahl));
  EXPECT_NEAR(found.parameters()[0].estimate.value, 0.05, 1e-12);
  EXPECT_NEAR(found.predict(64).value, amdahl(64), 1e-10);
  EXPECT_EQ(found.rejected(), "");
  EXPECT_FALSE(found.peak());

  const auto usl = [](double p) { return 3 * (1 + 0.02 * (p - 1) + 0.001 * p * (p - 1)) / p; };
  const LawFit gunther = LawFit::usl(measured(usl));
  EXPECT_NEAR(gunther.parameters()[0].estimate.value, 0.02, 1e-12);
  EXPECT_NEAR(gunther.parameters()[1].estimate.value, 0.001, 1e-12);
  EXPECT_NEAR(gunther.peak().value(), std::sqrt(0.98 / 0.001), 1e-6);
  // Karp and Flatt's e(p) = a + b p exactly.
  for (const double p : {2.0, 8.0, 50.0})
    EXPECT_NEAR(strong_scaling({.workers = 1, .time_s = usl(1)}, {.workers = p, .time_s = usl(p)})
                    .karp_flatt.value(),
                0.02 + 0.001 * p, 1e-12);

  std::vector<ScalingPoint> weak = measured([](double) { return 5.0; });
  for (ScalingPoint& point : weak)
    point.work = 10 * (point.workers - 0.1 * (point.workers - 1));
  const LawFit gustafson = LawFit::gustafson(weak);
  EXPECT_NEAR(gustafson.parameters()[0].estimate.value, 0.1, 1e-12);
  EXPECT_NEAR(gustafson.predict(100).value, 2 * (100 - 9.9), 1e-9);
}

TEST(LawFit, IntervalsHoldTheTruthAboutAsOftenAsTheySay) {
  const auto truth = [](double p) { return 3 * (1 + 0.02 * (p - 1) + 0.001 * p * (p - 1)) / p; };
  std::mt19937 random(17);
  std::normal_distribution<double> noise(1, 0.01);
  int held = 0;
  int in_band = 0;
  constexpr int times = 400;
  for (int time = 0; time < times; ++time) {
    std::vector<ScalingPoint> points = measured(truth);
    for (ScalingPoint& point : points)
      point.time_s *= noise(random);
    const LawFit fit = LawFit::usl(points);
    const Interval a = fit.parameters()[0].estimate.interval.value();
    held += a.lo <= 0.02 && 0.02 <= a.hi ? 1 : 0;
    const Interval band = fit.predict(64).interval.value();
    in_band += band.lo <= truth(64) && truth(64) <= band.hi ? 1 : 0;
  }
  EXPECT_NEAR(held, 0.95 * times, 0.035 * times);
  EXPECT_NEAR(in_band, 0.95 * times, 0.035 * times);
}

TEST(LawFit, RejectsALawWithANegativeParameter) {
  const LawFit fit = LawFit::amdahl(measured([](double p) { return 1 / (p * std::sqrt(p)); }));
  EXPECT_LT(fit.parameters()[0].estimate.value, 0);
  EXPECT_NE(fit.rejected().find("f = -"), std::string::npos) << fit.rejected();
  EXPECT_NE(fit.rejected().find("negative"), std::string::npos);
}

TEST(LawFit, NeedsPointsEnough) {
  const std::vector<ScalingPoint> one{{.workers = 1, .time_s = 2}, {.workers = 1, .time_s = 2.1}};
  EXPECT_THROW((void)LawFit::amdahl(one), Error);
  std::vector<ScalingPoint> two = one;
  two.push_back({.workers = 2, .time_s = 1.1});
  EXPECT_TRUE(LawFit::amdahl(two).parameters()[0].estimate.interval);
  EXPECT_THROW((void)LawFit::usl(two), Error);
  two.erase(two.begin());
  EXPECT_FALSE(LawFit::amdahl(two).parameters()[0].estimate.interval); // it goes through both
}

TEST(LawFit, DoesNotDependOnUnitsOrOrder) {
  std::vector<ScalingPoint> points =
      measured([](double p) { return 0.3 + 9 / p + 0.01 * p; }, 0.02, 2);
  const LawFit fit = LawFit::usl(points);
  for (ScalingPoint& point : points)
    point.time_s *= 1000;
  std::ranges::reverse(points);
  const LawFit other = LawFit::usl(points);
  for (std::size_t k = 0; k < 2; ++k) {
    EXPECT_NEAR(other.parameters()[k].estimate.value, fit.parameters()[k].estimate.value, 1e-9);
    EXPECT_NEAR(other.parameters()[k].estimate.interval->lo,
                fit.parameters()[k].estimate.interval->lo, 1e-9);
  }
  EXPECT_NEAR(other.predict(20).value, 1000 * fit.predict(20).value, 1e-6);
}

} // namespace
} // namespace cleave
