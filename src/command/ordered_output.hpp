/// @file
/// The output of tasks that end in any order, told in the order of the tasks.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::command {

/// Tells text, of standard error or not.
using Tell = std::function<void(std::string_view text, bool error)>;

/// Holds back what came too early: some of it in memory, the rest in a file without a name.
class OrderedOutput {
public:
  /// @param skipped by number - 1: tasks that tell nothing, for they do not run
  /// @param tag begin each line with the task's number and a tab
  OrderedOutput(Tell tell, std::vector<bool> skipped, bool tag,
                std::size_t most_in_memory = std::size_t{64} * 1024 * 1024);

  /// Takes the output of the task `number`, from 1, and tells all whose turn has come.
  /// @throws Error io when there is no room for what is held back
  void add(std::int64_t number, std::string output, std::string error);
  /// Tells what is still held back, when no more comes.
  void finish();

private:
  struct Held {
    std::string output;
    std::string error;
    long offset = -1; // in the file, where both are then
    std::size_t output_size = 0;
    std::size_t error_size = 0;
  };
  void tell_next();
  void tell(std::int64_t number, Held held);
  void tell_lines(std::int64_t number, std::string_view text, bool error);
  void spill(Held& held);
  void fetch(Held& held);

  Tell tell_;
  std::vector<bool> done_; // by number - 1
  bool tag_;
  std::size_t most_in_memory_;
  std::size_t in_memory_ = 0;
  std::size_t next_ = 0;              // the first that is not done
  std::map<std::int64_t, Held> held_; // by number; those that have said anything
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

} // namespace cleave::command
