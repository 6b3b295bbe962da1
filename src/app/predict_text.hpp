/// @file
/// Predictions as people and programs read them.
#pragma once

#include "cleave/predict.hpp"

#include <optional>
#include <span>
#include <string>

namespace cleave::app {

/// What `cleave predict` has to tell.
struct PredictReport {
  MeasuredRun run;
  std::vector<Prediction> predictions; ///< by machine, then as schedules were asked for
  Wish wish;
  std::optional<Prediction> answer; ///< to the wish
  bool all_rows = false;            ///< every schedule of every machine, not the best alone
};

/// "ask for 4 nodes: ..." in a sentence.
[[nodiscard]] std::string answer_text(const PredictReport& report);

/// For a terminal: a table, notes, the answer.
[[nodiscard]] std::string predict_text(const PredictReport& report);
/// Every prediction, one a line.
[[nodiscard]] std::string predict_markdown(const PredictReport& report);
[[nodiscard]] std::string predict_csv(const PredictReport& report);
/// One object; null for what is not known.
[[nodiscard]] std::string predict_json(const PredictReport& report);

} // namespace cleave::app
