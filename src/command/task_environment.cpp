#include "task_environment.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>

namespace cleave::command {
namespace {

bool is_launchers(std::string_view variable) {
  static constexpr std::array<std::string_view, 5> prefixes = {"OMPI_", "PMIX_", "PMI_", "PRTE_",
                                                               "ORTE_"};
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return variable.starts_with(prefix); });
}

bool is_always_the_users(std::string_view variable) {
  return variable.starts_with("OMPI_ALLOW_RUN_AS_ROOT");
}

std::optional<Environment> environment_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/environ", std::ios::binary);
  if (!file.is_open())
    return std::nullopt;
  Environment environment;
  for (std::string variable; std::getline(file, variable, '\0');)
    environment.push_back(variable);
  return file.bad() ? std::nullopt : std::optional(environment);
}

// 0: none, or not told.
pid_t parent_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("PPid:"))
      return static_cast<pid_t>(std::stol(line.substr(5)));
  return 0;
}

} // namespace

Environment task_environment(const Environment& own, const std::optional<Environment>& launchers) {
  const bool of_rank = is_of_rank(own);
  std::set<std::string_view> users;
  if (launchers)
    users.insert(launchers->begin(), launchers->end());
  Environment kept;
  for (const std::string& variable : own)
    if (!variable.starts_with("CLEAVE_LAUNCHED=") &&
        (!of_rank || !is_launchers(variable) || is_always_the_users(variable) ||
         users.contains(variable)))
      kept.push_back(variable);
  return kept;
}

bool is_of_rank(const Environment& environment) {
  return std::any_of(environment.begin(), environment.end(), [](std::string_view variable) {
    return variable.starts_with("OMPI_COMM_WORLD_RANK=") || variable.starts_with("PMIX_RANK=") ||
           variable.starts_with("PMI_RANK=");
  });
}

Environment own_environment() {
  Environment environment;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
    environment.emplace_back(*variable);
  return environment;
}

std::optional<Environment> launcher_environment() {
  for (pid_t process = getppid(); process > 1; process = parent_of(process)) {
    std::optional<Environment> environment = environment_of(process);
    if (!environment || !is_of_rank(*environment))
      return environment;
  }
  return std::nullopt;
}

} // namespace cleave::command
