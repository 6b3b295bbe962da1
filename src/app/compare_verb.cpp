#include "compare_verb.hpp"

#include "../words.hpp"
#include "cleave/compare.hpp"
#include "cleave/error.hpp"
#include "cleave/study_table.hpp"
#include "command.hpp"
#include "compare_text.hpp"
#include "output.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>

namespace cleave::app {
namespace {

const char* const compare_examples = R"(
Examples:
  cleave compare before.h5 after.h5            two timings files
  cleave compare results/a results/b           two studies, or two directories of timings files
  cleave compare old new --threshold 5% --format md

Exit status: 0 none slower, 2 bad input, 3 slower beyond the threshold, 4 not comparable.)";

/// A share such as "2%" or "0.02".
double share_of(const std::string& text) {
  const bool percent = text.ends_with('%');
  const char* const end = text.data() + text.size() - (percent ? 1 : 0);
  double value = 0;
  const auto parsed = std::from_chars(text.data(), end, value);
  const bool number = parsed.ec == std::errc() && parsed.ptr == end;
  const bool share = value >= 0 && value < 1e6;
  if (!number || !share)
    throw Error(ErrorKind::bad_input, "must be a share such as 2% or 0.02, not " + in_quotes(text),
                {"", 0, "--threshold"});
  return percent ? value / 100 : value;
}

std::string refuse_unknown_format(const std::string& format) {
  const std::vector<std::string> formats = {"text", "md", "json"};
  return std::ranges::find(formats, format) != formats.end()
             ? ""
             : "must be one of " + join(formats) + ", not " + in_quotes(format);
}

std::string told(const Comparison& comparison, const CompareRequest& request, double threshold) {
  if (request.format == "json")
    return comparison_json(comparison, threshold);
  return request.format == "md" ? comparison_markdown(comparison, threshold)
                                : comparison_text(comparison, threshold);
}

} // namespace

CLI::App* add_compare(CLI::App& app, CompareRequest& request) {
  CLI::App* verb = app.add_subcommand("compare", "Whether new runs are faster or slower than base");
  verb->add_option("BASE", request.base, "Timings file, study or directory to compare with")
      ->type_name("")
      ->required();
  verb->add_option("NEW", request.now, "The one that may be slower")->type_name("")->required();
  verb->add_option("--threshold", request.threshold, "What may be lost: exit status 3 beyond (2%)")
      ->type_name("SHARE");
  verb->add_option("--format", request.format, "text, md or json (text)")
      ->type_name("FORMAT")
      ->check(refuse_unknown_format);
  verb->footer(compare_examples);
  return verb;
}

int carry_out_compare(const Command& command, const std::vector<Workload>& /*workloads*/) {
  const CompareRequest& request = command.compare;
  const double threshold = share_of(request.threshold);
  const Results base = read_results(request.base);
  const Results now = read_results(request.now);
  for (const Results* results : {&base, &now})
    if (results->study)
      renew_study(*results, tabulate(*results));
  const Comparison comparison = compare(base, now, threshold);
  say(told(comparison, request, threshold));
  if (!comparison.comparable())
    return exit_status(ErrorKind::not_comparable);
  return std::ranges::any_of(comparison.points, &PointComparison::beyond) ? 3 : 0;
}

} // namespace cleave::app
