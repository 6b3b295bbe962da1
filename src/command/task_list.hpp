/// @file
/// The commands of a run one by one, wherever they come from: nothing but the current one is in
/// memory.
#pragma once

#include "../handle.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cleave::command {

/// One command.
struct CommandTask {
  std::int64_t number = 0; ///< from 1, in the order of the list
  std::vector<std::string> words;
  std::string text; ///< as the user wrote it, or as a shell would read the words back
};

/// What names the commands: a file of them, or a template with rows to fill it in.
struct TaskSource {
  std::filesystem::path tasks; ///< a command a line; with a template, a value of {} a line
  std::string tasks_name;      ///< of `tasks` in messages
  std::string command;         ///< the template; empty: none
  std::string over;            ///< see range_rows()
  std::filesystem::path csv;   ///< see csv_rows()
  bool shell = false;          ///< each command is a line for /bin/sh -c
};

/// Reads the commands from the first on. Local; not thread-safe.
class TaskList {
public:
  /// @pre the source has either tasks, or a template with one of over and csv; or tasks and a
  ///      template
  /// @throws Error bad_input with the file and line, or the parameter, for what cannot be read
  explicit TaskList(const TaskSource& source);

  /// The next command; nothing when there is none. Lines that are empty, or begin with '#', are no
  /// commands. @throws Error bad_input that names file and line
  [[nodiscard]] std::optional<CommandTask> next();

private:
  std::function<std::optional<CommandTask>(std::int64_t number)> next_;
  std::int64_t number_ = 0;
};

/// All that can be read once, such as standard input or a pipe, as a file without a name, which
/// lives as long as this and can be read again.
class Spool {
public:
  /// @param name of it in messages
  /// @throws Error io when it cannot be read, or there is no room for it
  Spool(int from, const std::string& name);
  /// What to open; any number of times.
  [[nodiscard]] std::filesystem::path path() const;

private:
  Descriptor file_;
};

} // namespace cleave::command
