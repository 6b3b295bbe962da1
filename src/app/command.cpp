#include "command.hpp"

#include "../words.hpp"
#include "cleave/provenance.hpp"
#include "cleave/version.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace cleave::app {
namespace {

const char* const run_examples = R"(
Examples:
  cleave run squares -p n=20                      on this process alone
  cleave run ep -p class=A -n 4                   starts mpirun with 4 ranks
  mpirun -q -n 4 cleave run ep -p class=A --repetitions 7 -o a.h5
  cleave run jobs/denoise.toml --threads 2 --result answer.json
  cleave run ep -p class=C -n 64 --dry-run        says what it would do

Exit status: 0 done and verified, 2 bad input, 3 wrong answer, failed task, file or output.)";

const char* const layout_examples = R"(
Examples:
  cleave layout -n 4                  starts mpirun with 4 ranks
  mpirun -q -n 4 cleave layout        who runs where, and what is odd about it
  srun --mpi=pmix cleave layout --json)";

const char* const list_examples = R"(
Examples:
  cleave list                         the workloads
  cleave list ep                      parameters of one, with types, ranges and defaults)";

std::string version_text() {
  std::string text = std::string("cleave ") + version + "\n";
  for (const auto& [name, value] : machine_facts())
    if (name.ends_with("_version") || name == "compiler" || name == "build_type")
      text += "  " + name + ": " + value.substr(0, value.find('\n')) + "\n";
  return text;
}

std::string refuse_unknown_level(const std::string& level) {
  const std::vector<std::string> levels = {"trace", "debug", "info", "warning", "error", "off"};
  return std::find(levels.begin(), levels.end(), level) != levels.end()
             ? ""
             : "must be one of " + join(levels) + ", not " + in_quotes(level);
}

std::string refuse_no_rank(const std::string& text) {
  const bool digits = !text.empty() && text.size() < 10 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? "" : "must be a rank, 0 or above, not " + in_quotes(text);
}

CLI::Option* add_switch(CLI::App& app, const std::string& name, bool& value,
                        const std::string& meaning) {
  return app.add_flag(name, value, meaning)->disable_flag_override(); // no --force=false
}

void add_output_options(CLI::App& app, Command& command) {
  add_switch(app, "--json", command.json, "Print one JSON object and nothing else");
  auto* verbose = add_switch(app, "-v,--verbose", command.verbose, "Print more");
  add_switch(app, "-q,--quiet", command.quiet, "Print errors only")->excludes(verbose);
  app.add_option("--log-level", command.log_level,
                 "Log lines with their rank on standard error: trace, debug, info, warning, "
                 "error or off")
      ->type_name("LEVEL")
      ->check(refuse_unknown_level);
}

void add_launch_options(CLI::App& app, Request& request) {
  app.add_option("-n,--ranks", request.ranks, "Start mpirun with so many ranks")
      ->type_name("RANKS");
  app.add_option("--threads", request.threads, "Workers in a rank, or auto: one per core (auto)")
      ->type_name("N");
}

void add_measure_options(CLI::App& app, Request& request) {
  app.add_option("--schedule", request.schedule, "Technique and smallest chunk, as cyclic,64")
      ->type_name("NAME,CHUNK");
  app.add_option("--warmup", request.warm_ups, "Repetitions before those that count (0)")
      ->type_name("N");
  app.add_option("--repetitions", request.repetitions, "Measured repetitions (1)")->type_name("N");
  app.add_option("--budget", request.budget_s, "Start no repetition after so many seconds")
      ->type_name("SECONDS");
  app.add_option("--seed", request.seed, "Of the workers' random streams (0)")->type_name("N");
  app.add_option("--patience", request.patience_s,
                 "Name a rank that the others wait for so long (60)")
      ->type_name("SECONDS");
  app.add_option("--task-timeout", request.task_timeout_s,
                 "The longest that a task may take (no limit)")
      ->type_name("SECONDS");
  app.add_option("--simd", request.simd, "Instruction set that kernels must use (the best)")
      ->type_name("NAME");
}

void add_file_options(CLI::App& app, Request& request) {
  app.add_option("-o,--output", request.timings,
                 "Timings file, .h5 or .hdf5 (results/WORKLOAD-UTC-NxRxT.h5)")
      ->type_name("FILE");
  app.add_option("--result", request.result, "Write the answer: .h5, .json or .csv")
      ->type_name("FILE");
  add_switch(app, "--force", request.force, "Replace existing files");
  app.add_option("--checkpoint", request.checkpoint,
                 "Keep what is computed in a folder (NAME.checkpoint when it takes long)")
      ->type_name("DIR");
  add_switch(app, "--no-checkpoint", request.no_checkpoint, "Never keep it");
  add_switch(app, "--resume", request.resume, "Go on with the checkpoint, or begin one");
  add_switch(app, "--accept-new-binary", request.accept_new_binary,
             "Go on even if another binary has begun");
  app.add_option("--mtbf", request.mtbf_s, "Mean time between failures (86400)")
      ->type_name("SECONDS");
  add_switch(app, "--trace", request.trace, "Write NAME.trace.h5: every chunk, by whom and when");
  add_switch(app, "--dry-run", request.dry_run, "Prepare, say what would be done, write nothing");
}

CLI::App* add_run(CLI::App& app, Command& command) {
  CLI::App* run = app.add_subcommand("run", "Do a job: compute, check, time, record");
  run->add_option("JOB", command.request.job,
                  "A workload (see cleave list) or a job file, JOB.toml")
      ->type_name("")
      ->required();
  run->add_option("-p,--parameter", command.request.parameters, "A parameter of the workload")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add_launch_options(*run, command.request);
  add_measure_options(*run, command.request);
  add_file_options(*run, command.request);
  run->add_option("--attach", command.attach, "Let this rank wait for a debugger")
      ->type_name("RANK")
      ->check(refuse_no_rank);
  add_output_options(*run, command);
  run->footer(run_examples);
  return run;
}

CLI::App* add_layout(CLI::App& app, Command& command) {
  CLI::App* layout = app.add_subcommand("layout", "Who runs where, and what is odd about it");
  add_launch_options(*layout, command.request);
  add_output_options(*layout, command);
  layout->footer(layout_examples);
  return layout;
}

CLI::App* add_list(CLI::App& app, Command& command) {
  CLI::App* list = app.add_subcommand("list", "The workloads and their parameters");
  list->add_option("WORKLOAD", command.workload, "Show this one's parameters")->type_name("");
  list->footer(list_examples);
  return list;
}

// Without the dashes: they would make all of them alike.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      names.push_back(name);
  return names;
}

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands({}))
    names.push_back(verb->get_name());
  return names;
}

std::string help_hint(const CLI::App& app) {
  return app.get_parent() == nullptr ? "see cleave --help"
                                     : "see cleave " + app.get_name() + " --help";
}

std::string unknown_option(const CLI::App& verb, const std::string& given) {
  const std::string option = given.substr(0, given.find('='));
  const std::string bare = option.substr(std::min(option.find_first_not_of('-'), option.size()));
  const std::string meant = nearest(bare, option_names(verb));
  return "unknown option " + in_quotes(option) + "; " +
         (meant.empty() ? "" : "did you mean " + in_quotes("--" + meant) + "? ") + help_hint(verb);
}

// What is wrong with the number of an option's values.
std::string miscounted(const CLI::Option& option) {
  if (option.get_expected_min() == 0)
    return option.get_name() + ": takes no value";
  if (option.get_items_expected_max() == 1 && option.count() > 1)
    return option.get_name() + ": is given twice; give it once";
  return option.get_name() + ": needs a value, " + option.get_type_name();
}

// The option that the parser's message begins with: "--output: ..." or "force was given ...".
const CLI::Option* option_meant(const CLI::App& verb, const std::string& message) {
  const std::string name = message.substr(0, message.find_first_of(": "));
  const CLI::Option* option = verb.get_option_no_throw(name);
  return option != nullptr ? option : verb.get_option_no_throw("--" + name);
}

std::string refusal_of_option(const CLI::App& verb, const CLI::ParseError& error) {
  std::string text = error.what();
  const CLI::Option* const option = option_meant(verb, text);
  if (option != nullptr && dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr)
    return miscounted(*option);
  if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr)
    return text.substr(0, text.find(' ')) + " and " + text.substr(text.rfind(' ') + 1) +
           " exclude each other; give one of them";
  return text;
}

// What the parser met, in our words.
std::string refusal(const CLI::App& app, const CLI::App& verb, const CLI::ParseError& error) {
  const std::vector<std::string> extras = verb.remaining(true);
  if (!extras.empty() && extras.front().starts_with("-"))
    return unknown_option(verb, extras.front());
  if (&app == &verb)
    return extras.empty() ? "say what to do: " + join(verb_names(app)) + "; " + help_hint(app)
                          : unknown_name("command", extras.front(), verb_names(app));
  if (!extras.empty())
    return "unexpected argument " + in_quotes(extras.front()) + "; " + help_hint(verb);
  if (std::string_view(error.what()) == "JOB is required")
    return "name a workload or a job file; cleave list shows the workloads";
  return refusal_of_option(verb, error) + "; " + help_hint(verb);
}

// Looked up by hand: where the parser stops at an error, it has not come to all flags.
bool wants_json(int argc, char** argv) {
  return std::find(argv, argv + argc, std::string_view("--json")) != argv + argc;
}

// Last first, as CLI11 wants them. For the value of "--name=" it would take the next argument.
std::vector<std::string> reversed_arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    std::string text = argv[i];
    if (text.starts_with("--") && text.find('=') == text.size() - 1) {
      text.pop_back();
      arguments.emplace_back();
    }
    arguments.push_back(std::move(text));
  }
  return arguments;
}

} // namespace

std::variant<Command, Farewell> parse_command(int argc, char** argv) {
  Command command;
  command.request.argv.assign(argv, argv + argc);
  CLI::App app("Cleave splits a CPU-bound computation over ranks and threads, joins the results in "
               "order,\nproves them right and records how long everything took.",
               "cleave");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.set_version_flag("--version", version_text, "Versions of cleave and of its libraries");
  app.footer("\ncleave COMMAND --help tells more, with examples.");
  const std::array<std::pair<CLI::App*, Verb>, 8> verbs = {
      {{add_run(app, command), Verb::run},
       {add_study(app, command.study), Verb::study},
       {add_report(app, command.report), Verb::report},
       {add_compare(app, command.compare), Verb::compare},
       {add_predict(app, command.predict), Verb::predict},
       {add_slurm(app, command.slurm), Verb::slurm},
       {add_layout(app, command), Verb::layout},
       {add_list(app, command), Verb::list}}};
  const CLI::App* chosen = &app;
  try {
    app.parse(reversed_arguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    const bool unknown = app.remaining_size() > 0;
    for (const auto& [verb_app, verb] : verbs)
      if (verb_app->parsed() && !unknown)
        chosen = verb_app;
    if (dynamic_cast<const CLI::CallForVersion*>(&error) != nullptr && !unknown)
      return Farewell{0, error.what(), false};
    if (dynamic_cast<const CLI::CallForHelp*>(&error) != nullptr && !unknown)
      return Farewell{0, app.help(), false};
    return Farewell{2, refusal(app, *chosen, error), wants_json(argc, argv)};
  }
  for (const auto& [verb_app, verb] : verbs)
    if (verb_app->parsed())
      command.verb = verb;
  return command;
}

} // namespace cleave::app
