#include "settings.hpp"

#include "cleave/command.hpp"

#include <string>

namespace cleave {
namespace command {
namespace {

Parameter text(const char* name, const char* summary) {
  Parameter parameter;
  parameter.name = name;
  parameter.summary = summary;
  return parameter;
}

Parameter number(const char* name, ParameterType type, const char* default_value, const char* unit,
                 double maximum, const char* summary) {
  Parameter parameter = text(name, summary);
  parameter.type = type;
  parameter.default_value = default_value;
  parameter.unit = unit;
  parameter.minimum = 0;
  parameter.maximum = maximum;
  return parameter;
}

Parameter on_off(const char* name, const char* default_value, const char* summary) {
  Parameter parameter = text(name, summary);
  parameter.default_value = default_value;
  parameter.choices = {"true", "false"};
  return parameter;
}

bool is_on(const Values& values, const char* name) {
  return values.text(name) == "true";
}

// What names the tasks: a list, or a template with rows to fill it in.
void accept_source(const Values& values) {
  const auto given = [&](const char* name) { return !values.text(name).empty(); };
  if (given("over") && given("csv"))
    throw values.error("csv", "goes not together with over; give one of them");
  const bool rows = given("over") || given("csv");
  if (rows && given("tasks"))
    throw values.error("tasks", "goes not together with over or csv; give one of them");
  if (rows && !given("template"))
    throw values.error("template", "missing: the command that the fields are for");
  if (!rows && !given("tasks"))
    throw values.error("tasks", given("template")
                                    ? "missing; give tasks, over or csv to fill the template in"
                                    : "missing; give a file of commands, or template and over or "
                                      "csv");
}

void accept_log(const Values& values) {
  if (is_on(values, "retry_failed") && !is_on(values, "resume"))
    throw values.error("retry_failed", "goes with resume=true");
  if (is_on(values, "resume") && values.text("joblog").empty())
    throw values.error("joblog", "missing; resume goes on with the job log of an earlier run");
}

} // namespace

Settings read_settings(const Values& values) {
  accept_source(values);
  accept_log(values);
  Settings settings;
  settings.from_stdin = values.text("tasks") == "-";
  settings.source = {.tasks = values.file("tasks"),
                     .tasks_name =
                         settings.from_stdin ? "standard input" : values.file("tasks").string(),
                     .command = values.text("template"),
                     .over = values.text("over"),
                     .csv = values.file("csv"),
                     .shell = is_on(values, "shell")};
  settings.order.timeout_s = values.real("timeout_s");
  settings.order.kill_after_s = values.real("kill_after_s");
  settings.order.retries = values.integer("retries");
  settings.max_failures = values.integer("max_failures");
  settings.outputs = values.file("outputs");
  settings.tag = is_on(values, "tag");
  settings.joblog = values.file("joblog");
  settings.resume = is_on(values, "resume");
  settings.retry_failed = is_on(values, "retry_failed");
  return settings;
}

} // namespace command

std::vector<Parameter> command_parameters() {
  using namespace command;
  constexpr auto integer = ParameterType::integer;
  constexpr auto real = ParameterType::real;
  return {
      text("tasks", "file with a command a line; -: standard input"),
      text("template",
           "command with {FIELD} of over or csv, {} a line of tasks, {task} its number"),
      text("over", "values of fields: frame=1..100, x=0..90..10 eye=left,right"),
      text("csv", "CSV file whose first line names the fields"),
      on_off("shell", "false", "run each command by /bin/sh -c"),
      number("timeout_s", real, "0", "s", 1e9, "the longest that a command may take; 0: no limit"),
      number("kill_after_s", real, "5", "s", 1e6, "from SIGTERM to SIGKILL when its time is over"),
      number("retries", integer, "0", "", 1e6, "how often a command that failed is tried again"),
      number("max_failures", integer, "0", "", 1e15,
             "begin no command after so many failures; 0: no limit"),
      text("outputs", "folder for NUMBER.out and NUMBER.err; empty: they are printed in order"),
      on_off("tag", "true", "begin each printed line with the number of its command"),
      text("joblog", "file to log each command in that has ended; empty: none"),
      on_off("resume", "false", "run what the job log does not have"),
      on_off("retry_failed", "false", "with resume: also what failed"),
  };
}

} // namespace cleave
