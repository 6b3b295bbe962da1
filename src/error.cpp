#include "cleave/error.hpp"

#include <utility>

namespace cleave {
namespace {

std::string with_place(const std::string& message, const ErrorPlace& place) {
  std::string text = place.file;
  if (place.line > 0)
    text += (text.empty() ? "line " : ":") + std::to_string(place.line);
  if (!place.key.empty())
    text += (text.empty() ? "" : ": ") + place.key;
  return text.empty() ? message : text + ": " + message;
}

std::string describe(const std::vector<TaskFailure>& failures) {
  const TaskFailure& first = failures.front();
  std::string text = first.task < 0 ? "the call" : "task " + std::to_string(first.task);
  text += " failed on rank " + std::to_string(first.rank) + " (thread " +
          std::to_string(first.thread) + ", host " + first.host + "): " + first.type;
  if (!first.what.empty())
    text += ": " + first.what;
  if (failures.size() > 1)
    text += " (and " + std::to_string(failures.size() - 1) + " more)";
  return text;
}

} // namespace

const char* name(ErrorKind kind) noexcept {
  switch (kind) {
  case ErrorKind::bad_input:
    return "bad_input";
  case ErrorKind::wrong_answer:
    return "wrong_answer";
  case ErrorKind::failed_task:
    return "failed_task";
  case ErrorKind::lost_peer:
    return "lost_peer";
  case ErrorKind::io:
    return "io";
  case ErrorKind::not_comparable:
    return "not_comparable";
  case ErrorKind::interrupted:
    return "interrupted";
  }
  return "unknown";
}

int exit_status(ErrorKind kind) noexcept {
  switch (kind) {
  case ErrorKind::bad_input:
    return 2;
  case ErrorKind::not_comparable:
    return 4;
  case ErrorKind::interrupted:
    return 75;
  case ErrorKind::wrong_answer:
  case ErrorKind::failed_task:
  case ErrorKind::lost_peer:
  case ErrorKind::io:
    return 3;
  }
  return 3;
}

Error::Error(ErrorKind kind, const std::string& message, ErrorPlace place)
    : std::runtime_error(with_place(message, place)), kind_(kind), message_(message),
      place_(std::move(place)) {}

MapError::MapError(std::vector<TaskFailure> failures)
    : Error(ErrorKind::failed_task, describe(failures)), failures_(std::move(failures)) {}

} // namespace cleave
