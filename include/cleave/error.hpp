/// @file
/// The one exception type of Cleave: what went wrong, where, and of which kind.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace cleave {

/// What sort of failure an Error reports; it decides the program's exit status.
enum class ErrorKind : std::uint8_t {
  bad_input,      ///< refused before any work started
  wrong_answer,   ///< the result failed its check
  failed_task,    ///< a task threw
  lost_peer,      ///< ranks disagree about a collective call, or one has left
  io,             ///< a file or the operating system failed while work was under way
  not_comparable, ///< two results that cannot be compared
  interrupted,    ///< stopped by a signal; can be resumed
};

/// The word for a kind in messages and JSON, such as "bad_input". Local, thread-safe.
[[nodiscard]] const char* name(ErrorKind kind) noexcept;

/// The exit status of a program that ends because of `kind`: 2 bad input, 3 wrong answer, failed
/// task, lost peer or I/O, 4 not comparable, 75 interrupted. Local, thread-safe.
[[nodiscard]] int exit_status(ErrorKind kind) noexcept;

/// The place in the user's input that an Error is about; empty members are unknown.
struct ErrorPlace {
  std::string file; ///< as the user wrote it
  int line = 0;     ///< from 1; 0 when there is none
  std::string key;  ///< job-file key, option or parameter
};

/// Every exception that Cleave throws. `what()` is the whole message, place included.
class Error : public std::runtime_error {
public:
  /// @param message one sentence that says what is wrong and what would be right
  Error(ErrorKind kind, const std::string& message, ErrorPlace place = {});

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  /// The sentence without the place.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const ErrorPlace& place() const noexcept { return place_; }

private:
  ErrorKind kind_;
  std::string message_;
  ErrorPlace place_;
};

/// One task that threw: an exception carried as data from the worker to every rank.
struct TaskFailure {
  std::int64_t task = 0; ///< its index; -1: what the rank does beside the tasks, such as packing
  int rank = 0;
  int thread = 0;
  std::string host;
  std::string type; ///< demangled type of the exception
  std::string what; ///< its what(), or empty when it had none
};

/// Thrown on every rank when tasks of a collective call failed.
class MapError : public Error {
public:
  /// @param failures at least one, in task order
  explicit MapError(std::vector<TaskFailure> failures);

  [[nodiscard]] const std::vector<TaskFailure>& failures() const noexcept { return failures_; }

private:
  std::vector<TaskFailure> failures_;
};

} // namespace cleave
