/// @file
/// Speed-up, efficiency, where the cores' time went, and the laws of scaling. Pure arithmetic.
#pragma once

#include "cleave/statistics.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// What one point of a study took.
struct ScalingPoint {
  double workers = 1;             ///< cores that compute, >= 1
  double time_s = 0;              ///< median, > 0
  std::optional<Interval> time{}; ///< its confidence interval, where there were enough repetitions
  double work = 1;                ///< done in that time, any unit, > 0
};

/// A figure and its interval, where the data have one.
struct Estimate {
  double value = 0;
  std::optional<Interval> interval{};
};

/// The median of `values` and its 95 % interval; NaN when empty.
[[nodiscard]] Estimate summarise(std::span<const double> values);

/// A point against the base.
struct Scaling {
  Estimate speedup;
  Estimate efficiency;                ///< speed-up by worker
  std::optional<double> karp_flatt{}; ///< the serial fraction that would explain it; of p > 1
};

/// [lo_a/hi_b, hi_a/lo_b], the interval of the ratio of two medians. Ends must be > 0.
[[nodiscard]] Interval ratio_interval(const Interval& a, const Interval& b) noexcept;

/// Fixed work: S(p) = p0 T(p0) / T(p), E = S/p, e = (1/S - 1/p) / (1 - 1/p) (Karp & Flatt 1990,
/// doi:10.1145/78607.78614). The base itself has S = p0 without an interval.
[[nodiscard]] Scaling strong_scaling(const ScalingPoint& base, const ScalingPoint& point);

/// Work that grows with the workers: E = [W(p) / (p T(p))] / [W(p0) / (p0 T(p0))], S = p E, by the
/// work that was done (Gustafson 1988, doi:10.1145/42411.42415).
[[nodiscard]] Scaling weak_scaling(const ScalingPoint& base, const ScalingPoint& point);

/// Where a repetition's core time went; each is at most 1. The factors of POP and TALP.
struct Balance {
  double load_balance = 1;        ///< LB = mean(u) / max(u), u the busy time of a rank
  double between_nodes = 1;       ///< LB_out = mean(u) / max over nodes of their mean of u
  double in_nodes = 1;            ///< LB_in = LB / LB_out
  double communication = 1;       ///< CE = max(u) / wall
  double parallel_efficiency = 1; ///< PE = LB CE
};
/// @param busy_s of every rank, the mean over its threads
/// @param node of every rank, from 0
/// @param wall_s > 0
[[nodiscard]] Balance balance(std::span<const double> busy_s, std::span<const int> node,
                              double wall_s);

/// A parameter of a law.
struct LawParameter {
  std::string name; ///< such as "f"
  Estimate estimate;
};

/// A law of scaling, fitted to points by least squares of relative residuals. One worker's time
/// (or rate, of growing work) is a parameter too: no point, the base included, is taken as exact.
class LawFit {
public:
  /// Amdahl 1967, doi:10.1145/1465482.1465560: p T = T1 (1 + f (p-1)). Points of one work, at two
  /// or more numbers of workers. @throws Error bad_input for fewer
  static LawFit amdahl(std::span<const ScalingPoint> points);
  /// The universal scalability law, Gunther 1993: p T = T1 (1 + a (p-1) + b p (p-1)). At three or
  /// more numbers of workers. @throws Error bad_input for fewer
  static LawFit usl(std::span<const ScalingPoint> points);
  /// Gustafson: W/T = R1 (p - f (p-1)). At two or more numbers of workers. @throws Error bad_input
  static LawFit gustafson(std::span<const ScalingPoint> points);

  /// Such as "Amdahl".
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::vector<LawParameter>& parameters() const noexcept { return parameters_; }
  /// Why the law does not hold, as that a parameter is negative or a share more than 1; empty when
  /// it may.
  [[nodiscard]] const std::string& rejected() const noexcept { return rejected_; }
  /// Predicted time at fixed work (amdahl, usl), or rate (gustafson), and its 95 % band, where
  /// there were more points than parameters.
  [[nodiscard]] Estimate predict(double workers) const;
  /// The workers beyond which more are slower, sqrt((1-a)/b) of usl; nothing elsewhere.
  [[nodiscard]] std::optional<double> peak() const;

private:
  using Columns = std::vector<double> (*)(double workers);
  LawFit(std::string name, std::vector<std::string> parameters, Columns columns, bool rates,
         std::span<const ScalingPoint> points);
  [[nodiscard]] double variance(std::span<const double> gradient) const;

  std::string name_;
  Columns columns_;
  bool rates_;
  std::vector<LawParameter> parameters_;
  std::string rejected_;
  std::vector<double> coefficients_;            // of the columns
  std::vector<std::vector<double>> covariance_; // of the coefficients; empty without residuals
  double t_ = 0;                                // Student's 97.5 % quantile
};

} // namespace cleave
