#include "predict_verb.hpp"

#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/predict.hpp"
#include "command.hpp"
#include "output.hpp"
#include "predict_text.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

namespace cleave::app {
namespace {

const char* const predict_examples = R"(
Examples:
  cleave predict ep.h5                              with ep.trace.h5 beside it: run --trace
  cleave predict ep.h5 --ranks 64..4096 --cores-per-node 128 --efficiency 0.8
  cleave predict ep.h5 --ranks 256 --schedules auto,guided,64 --format csv
  cleave predict ep.h5 --deadline 10m --tasks 1e9 --costs message=2us)";

constexpr std::int64_t most_workers = std::int64_t{1} << 30;
constexpr double default_efficiency = 0.8;
constexpr double least_efficiency = 0.02; // where machines that nobody has named end

[[noreturn]] void refuse(const char* option, const std::string& what) {
  throw Error(ErrorKind::bad_input, what, {"", 0, option});
}

std::vector<std::string> split(const std::string& text, char between) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, between);)
    parts.push_back(part);
  return parts;
}

std::optional<double> read_number(std::string_view text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc() && end == text.data() + text.size() && std::isfinite(value)
             ? std::optional(value)
             : std::nullopt;
}

/// A whole number such as 64 or 1e9.
std::int64_t count_of(const char* option, const std::string& text, double most) {
  const auto value = read_number(text);
  if (!value || *value < 1 || *value > most || *value != std::floor(*value))
    refuse(option, "must be whole numbers from 1 to " + std::to_string(std::int64_t(most)) +
                       ", not " + in_quotes(text));
  return static_cast<std::int64_t>(*value);
}

/// "2..64" doubles from 2 to 64; "8,12,64" lists; both may be mixed.
std::vector<std::int64_t> ranks_of(const std::string& text) {
  constexpr const char* option = "--ranks";
  std::vector<std::int64_t> ranks;
  for (const std::string& part : split(text, ',')) {
    const std::size_t dots = part.find("..");
    const auto first = count_of(option, part.substr(0, dots), most_workers);
    const auto last =
        dots == std::string::npos ? first : count_of(option, part.substr(dots + 2), most_workers);
    if (last < first)
      refuse(option, "must ascend, as in 2..64, not " + in_quotes(part));
    for (std::int64_t n = first; n <= last; n *= 2)
      ranks.push_back(n);
  }
  if (ranks.empty())
    refuse(option, "must be numbers such as 2..64 or 8,12, not " + in_quotes(text));
  std::ranges::sort(ranks);
  ranks.erase(std::ranges::unique(ranks).begin(), ranks.end());
  return ranks;
}

Schedule parse_schedule(const std::string& name) {
  try {
    return Schedule::parse(name);
  } catch (const Error& error) {
    refuse("--schedules", error.message());
  }
}

/// "auto,guided,64": a number belongs to the technique before it.
std::vector<Schedule> schedules_of(const std::optional<std::string>& text) {
  if (!text)
    return all_schedules();
  std::vector<std::string> names;
  for (const std::string& part : split(*text, ','))
    if (!names.empty() && !part.empty() &&
        part.find_first_not_of("0123456789e") == std::string::npos)
      names.back() += ',' + part;
    else
      names.push_back(part);
  std::vector<Schedule> schedules;
  for (const std::string& name : names)
    schedules.push_back(parse_schedule(name));
  if (schedules.empty())
    refuse("--schedules", "must name schedules, as in auto,guided,64");
  return schedules;
}

/// "10m", "90", "20us".
double duration_of(const std::string& option, const std::string& text) {
  static constexpr std::pair<std::string_view, double> units[] = {
      {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"min", 60}, {"m", 60}, {"h", 3600}, {"s", 1}};
  const std::size_t letter = text.find_first_not_of("0123456789.");
  const std::string_view unit =
      letter == std::string::npos ? std::string_view("s") : std::string_view(text).substr(letter);
  const auto* const found =
      std::ranges::find(units, unit, &std::pair<std::string_view, double>::first);
  const auto value = read_number(std::string_view(text).substr(0, letter));
  if (!value || found == std::end(units))
    refuse(option.c_str(), "must be a time such as 90s, 10m, 2h or 20us, not " + in_quotes(text));
  return *value * found->second;
}

Wish wish_of(const PredictRequest& request) {
  if (request.deadline) {
    const double deadline_s = duration_of("--deadline", *request.deadline);
    if (deadline_s <= 0)
      refuse("--deadline", "must be above 0");
    return {.efficiency = {}, .deadline_s = deadline_s};
  }
  if (!request.efficiency)
    return {.efficiency = default_efficiency, .deadline_s = {}};
  const auto efficiency = read_number(*request.efficiency);
  if (!efficiency || *efficiency <= 0 || *efficiency > 1)
    refuse("--efficiency", "must be above 0 and at most 1, not " + in_quotes(*request.efficiency));
  return {.efficiency = efficiency, .deadline_s = {}};
}

void set_cost(ReplayCosts& costs, const std::string& text) {
  const std::map<std::string, double ReplayCosts::*> members = {
      {"chunk", &ReplayCosts::chunk_s},     {"draw", &ReplayCosts::draw_s},
      {"message", &ReplayCosts::message_s}, {"request", &ReplayCosts::request_s},
      {"nap", &ReplayCosts::nap_s},         {"bandwidth", &ReplayCosts::bytes_per_s}};
  const std::size_t equals = std::min(text.find('='), text.size());
  const auto found = members.find(text.substr(0, equals));
  std::vector<std::string> names;
  for (const auto& [name, member] : members)
    names.push_back(name);
  if (found == members.end() || equals == text.size())
    refuse("--costs",
           "must be NAME=VALUE with a name of " + join(names) + ", not " + in_quotes(text));
  const std::string value = text.substr(equals + 1);
  if (found->first != "bandwidth") {
    costs.*found->second = duration_of("--costs", value);
    return;
  }
  const auto bytes_per_s = read_number(value);
  if (!bytes_per_s || *bytes_per_s <= 0)
    refuse("--costs", "bandwidth must be bytes a second, as 1e9, not " + in_quotes(value));
  costs.bytes_per_s = *bytes_per_s;
}

std::string refuse_unknown_format(const std::string& format) {
  const std::vector<std::string> formats = {"text", "json", "csv", "md"};
  return std::ranges::find(formats, format) != formats.end()
             ? ""
             : "must be one of " + join(formats) + ", not " + in_quotes(format);
}

std::string told(const PredictReport& report, const std::string& format) {
  if (format == "json")
    return predict_json(report);
  if (format == "csv")
    return predict_csv(report);
  return format == "md" ? predict_markdown(report) : predict_text(report);
}

/// The run, as the options change it.
MeasuredRun run_of(const PredictRequest& request) {
  ReplayCosts tried; // refused before the file is read
  for (const std::string& cost : request.costs)
    set_cost(tried, cost);
  const auto tasks = request.tasks ? count_of("--tasks", *request.tasks, 1e15) : 0;
  MeasuredRun run = read_measured(request.result);
  for (const std::string& cost : request.costs)
    set_cost(run.overheads, cost);
  return tasks > 0 ? grown(run, tasks) : run;
}

} // namespace

CLI::App* add_predict(CLI::App& app, PredictRequest& request) {
  CLI::App* verb = app.add_subcommand("predict", "What a run would take on larger machines");
  verb->add_option("RESULT", request.result,
                   "Timings file, best with its trace beside it, or a directory of them")
      ->type_name("")
      ->required();
  verb->add_option("-n,--ranks", request.ranks,
                   "Workers: 2..64 doubles, 8,12 lists (2..1048576, while 2 % of them are used)")
      ->type_name("RANKS");
  verb->add_option("--cores-per-node", request.cores_per_node, "Of the larger machine (the run's)")
      ->type_name("N");
  verb->add_option("--schedules", request.schedules, "To compare, as auto,guided,64 (all)")
      ->type_name("NAME,...");
  verb->add_option("--tasks", request.tasks, "A larger job: so many tasks of the same shape")
      ->type_name("N");
  auto* efficiency =
      verb->add_option("--efficiency", request.efficiency, "The largest machine that has it (0.8)")
          ->type_name("SHARE");
  verb->add_option("--deadline", request.deadline, "The smallest machine that meets it, as 10m")
      ->type_name("TIME")
      ->excludes(efficiency);
  verb->add_option("--costs", request.costs,
                   "What the larger machine takes: chunk, draw, message, request, nap (times), "
                   "bandwidth (bytes/s)")
      ->type_name("NAME=VALUE,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--format", request.format, "text, json, csv or md (text)")
      ->type_name("FORMAT")
      ->check(refuse_unknown_format);
  verb->footer(predict_examples);
  return verb;
}

int carry_out_predict(const Command& command, const std::vector<Workload>& /*workloads*/) {
  const PredictRequest& request = command.predict;
  const std::vector<std::int64_t> ranks = ranks_of(request.ranks.value_or("2..1048576"));
  const std::vector<Schedule> schedules = schedules_of(request.schedules);
  const Wish wish = wish_of(request);
  const auto cores =
      request.cores_per_node ? count_of("--cores-per-node", *request.cores_per_node, 1 << 20) : 0;
  PredictReport report{run_of(request), {}, wish, {}, ranks.size() == 1};
  for (const std::int64_t workers : ranks) {
    const Machine machine{workers, cores > 0 ? cores : report.run.workers_a_node};
    bool worth_it = request.ranks.has_value();
    for (const Schedule& schedule : schedules) {
      report.predictions.push_back(predict(report.run, schedule, machine));
      worth_it = worth_it || report.predictions.back().efficiency.value >= least_efficiency;
    }
    if (!worth_it) // nor are larger ones, which nobody has asked for
      break;
  }
  report.answer = ask(report.run, wish, report.predictions);
  say(told(report, request.format));
  return 0;
}

} // namespace cleave::app
