#include "task_list.hpp"

#include "cleave/error.hpp"
#include "rows.hpp"
#include "shell_words.hpp"
#include "template.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace cleave::command {
namespace {

std::vector<std::string> words_for_shell(const std::string& line) {
  return {"/bin/sh", "-c", line};
}

// The lines of a file that are neither empty nor comments.
class Lines {
public:
  Lines(const std::filesystem::path& file, std::string name)
      : name_(std::move(name)), stream_(file, std::ios::binary) {
    if (std::filesystem::is_directory(file))
      throw error("is a directory");
    if (!stream_.is_open())
      throw error(std::string("cannot be read: ") + std::strerror(errno));
  }

  [[nodiscard]] Error error(const std::string& message) const {
    return {ErrorKind::bad_input, message, {name_, line_, ""}};
  }

  std::optional<std::string> next() {
    std::string line;
    while (std::getline(stream_, line)) {
      ++line_;
      if (line.ends_with('\r'))
        line.pop_back();
      const auto first = line.find_first_not_of(" \t");
      if (first == std::string::npos || line[first] == '#')
        continue;
      if (line.find('\0') != std::string::npos)
        throw error("has a NUL character, which no argument can hold");
      return line.substr(first);
    }
    if (stream_.bad())
      throw error("cannot be read to its end");
    return std::nullopt;
  }

private:
  std::string name_;
  std::ifstream stream_;
  int line_ = 0;
};

// A template's words as one task.
CommandTask task_of(std::vector<std::string> words, bool shell) {
  CommandTask task;
  task.text = shell ? words.front() : shell_line(words);
  task.words = shell ? words_for_shell(task.text) : std::move(words);
  return task;
}

std::function<std::optional<CommandTask>(std::int64_t)> commands_of(const TaskSource& source) {
  return [lines = std::make_shared<Lines>(source.tasks, source.tasks_name),
          shell = source.shell](std::int64_t /*number*/) -> std::optional<CommandTask> {
    const std::optional<std::string> line = lines->next();
    if (!line)
      return std::nullopt;
    try {
      return CommandTask{0, shell ? words_for_shell(*line) : shell_words(*line), *line};
    } catch (const Error& error) {
      throw lines->error(error.message());
    }
  };
}

Rows line_rows(const TaskSource& source) {
  const auto lines = std::make_shared<Lines>(source.tasks, source.tasks_name);
  return {{""}, [lines]() -> std::optional<Row> {
            std::optional<std::string> line = lines->next();
            return line ? std::optional(Row{{std::move(*line)}, 0}) : std::nullopt;
          }};
}

// What is wrong with a parameter's value, which has no place of its own.
template <class F>
auto blaming(const char* parameter, F f) {
  try {
    return f();
  } catch (const Error& error) {
    if (!error.place().file.empty())
      throw;
    throw Error(error.kind(), error.message(), {"", 0, parameter});
  }
}

Rows rows_of(const TaskSource& source) {
  if (!source.tasks.empty())
    return line_rows(source);
  if (!source.csv.empty())
    return csv_rows(source.csv);
  return blaming("over", [&] { return range_rows(source.over); });
}

} // namespace

TaskList::TaskList(const TaskSource& source) {
  if (source.command.empty()) {
    next_ = commands_of(source);
    return;
  }
  const Rows rows = rows_of(source);
  const auto command = blaming("template", [&] {
    return std::make_shared<Template>(source.command, rows.names, source.shell);
  });
  next_ = [rows, command, shell = source.shell](std::int64_t number) -> std::optional<CommandTask> {
    const std::optional<Row> row = rows.next();
    if (!row)
      return std::nullopt;
    return task_of(command->fill(number, row->values), shell);
  };
}

std::optional<CommandTask> TaskList::next() {
  std::optional<CommandTask> task = next_(number_ + 1);
  if (task)
    task->number = ++number_;
  return task;
}

Spool::Spool(int from, const std::string& name) {
  const auto folder = std::filesystem::temp_directory_path();
  file_ = Descriptor(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  const auto refuse = [&](const char* what) {
    return Error(ErrorKind::io,
                 std::string(what) + ": " + std::strerror(errno) +
                     "; let TMPDIR name a folder with room, or write the tasks to "
                     "a file and name that",
                 {name, 0, ""});
  };
  if (!file_)
    throw refuse("cannot be kept");
  std::array<char, 65'536> block{};
  ssize_t count = 0;
  while ((count = read(from, block.data(), block.size())) != 0) {
    if (count < 0 && errno == EINTR)
      continue;
    if (count > 0 && write(file_.get(), block.data(), static_cast<std::size_t>(count)) == count)
      continue;
    throw refuse(count < 0 ? "cannot be read" : "cannot be kept");
  }
}

std::filesystem::path Spool::path() const {
  return "/proc/self/fd/" + std::to_string(file_.get());
}

} // namespace cleave::command
