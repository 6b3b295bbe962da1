#include "log_attempts.hpp"

#include "../new_file.hpp"
#include "cleave/slurm.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <compare>
#include <cstdio>
#include <cstring>
#include <optional>
#include <regex>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace cleave::command {
namespace {

namespace fs = std::filesystem;

/// An attempt of a Slurm job but the first, which writes NAME as everybody does.
struct LaterAttempt {
  int number = 0;
  std::string job;
  auto operator<=>(const LaterAttempt&) const = default;
};

std::optional<LaterAttempt> later_attempt(const std::string& label) {
  static const std::regex form(R"((j[0-9_]+)-a([0-9]{1,9}))");
  std::smatch match;
  if (!std::regex_match(label, match, form))
    return std::nullopt;
  return LaterAttempt{std::stoi(match[2]), match[1]};
}

// Of a log under `name`; none for the name itself.
std::optional<LaterAttempt> attempt_of(const fs::path& log, const fs::path& name) {
  const std::string start = name.filename().string() + ".";
  const std::string file = log.filename().string();
  return file.starts_with(start) ? later_attempt(file.substr(start.size())) : std::nullopt;
}

struct AttemptLog {
  LaterAttempt attempt;
  fs::path file;
};

// The earliest first.
std::vector<AttemptLog> attempt_logs(const fs::path& name) {
  std::vector<AttemptLog> logs;
  const fs::path folder = name.parent_path();
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, none))
    if (const auto attempt = attempt_of(entry.path(), name))
      logs.push_back({*attempt, folder / entry.path().filename()});
  std::ranges::sort(logs, {}, &AttemptLog::attempt);
  return logs;
}

Error failure(const fs::path& file, const std::string& what) {
  return {ErrorKind::io, what, {file.string(), 0, "joblog"}};
}

Error taken_over(const fs::path& file) {
  return failure(file, "a later attempt of this job has taken over");
}

// As everybody but a later attempt does.
JobLog go_on(const fs::path& name, const KeptLog& kept) {
  JobLog log(kept.file, true, kept.bytes);
  settle(log, name);
  return log;
}

void copy(const Descriptor& from, const KeptLog& kept, const fs::path& to) {
  const Descriptor made(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!made)
    throw FileFailure("create it", errno);
  std::vector<std::byte> block(1 << 20);
  for (std::int64_t at = 0; at < kept.bytes;) {
    const auto wanted = std::min(std::ssize(block), static_cast<std::ptrdiff_t>(kept.bytes - at));
    const ssize_t count = pread(from.get(), block.data(), static_cast<std::size_t>(wanted), at);
    if (count <= 0)
      throw FileFailure("read what it goes on from", count < 0 ? errno : ESTALE);
    write_all(made.get(), std::span(block).first(static_cast<std::size_t>(count)));
    at += count;
  }
}

/// Makes the attempt's own log whole at once, so that the latest log is always a whole one; of
/// several that claim it, one succeeds.
void claim_copy(const Descriptor& from, const KeptLog& kept, const fs::path& own) {
  try {
    NewFile fresh(own);
    copy(from, kept, fresh.path());
    fresh.sync();
    fresh.publish();
  } catch (const FileFailure& error) {
    throw failure(own, error.what());
  }
}

JobLog take_over(const fs::path& name, const KeptLog& kept, const fs::path& own) {
  const Descriptor from(open(kept.file.c_str(), O_RDONLY | O_CLOEXEC));
  claim_copy(from, kept, own);
  JobLog log(own, true, kept.bytes);
  // Had this process been held since it read the log, a later one might have come to its end.
  if (latest_log(name) != own || (from && !is_named(from, kept.file)))
    throw taken_over(own);
  return log;
}

} // namespace

fs::path latest_log(const fs::path& name) {
  const std::vector<AttemptLog> logs = attempt_logs(name);
  return logs.empty() ? name : logs.back().file;
}

JobLog take_log(const fs::path& name, const KeptLog& kept) {
  if (kept.file.empty()) {
    claim_job_log(name);
    return {name, false};
  }
  if (latest_log(name) != kept.file)
    throw failure(kept.file, "is the latest log no more; another run has gone on");
  const std::string label = slurm_label();
  const std::optional<LaterAttempt> attempt = later_attempt(label);
  if (!attempt)
    return go_on(name, kept);
  fs::path own = name;
  own += "." + label;
  if (kept.file == own) // of an earlier run within this attempt
    return {own, true, kept.bytes};
  const std::optional<LaterAttempt> theirs = attempt_of(kept.file, name);
  if (theirs && theirs->job == attempt->job && *theirs > *attempt)
    throw taken_over(own);
  if (!theirs || theirs->job == attempt->job)
    return take_over(name, kept, own);
  static_cast<void>(go_on(name, kept)); // another job's: it must have ended
  return take_over(name, {name, kept.bytes}, own);
}

void settle(JobLog& log, const fs::path& name) {
  if (log.file() == name)
    return;
  // Who comes to his end after this finds his own log removed.
  const std::optional<LaterAttempt> attempt = attempt_of(log.file(), name);
  std::error_code ignored;
  for (const AttemptLog& other : attempt_logs(name))
    if (attempt && other.attempt < *attempt)
      fs::remove(other.file, ignored);
  if (rename(log.file().c_str(), name.c_str()) != 0)
    throw errno == ENOENT ? taken_over(log.file())
                          : failure(log.file(), std::string("cannot be given the name ") +
                                                    name.string() + ": " + std::strerror(errno));
  log.has_name(name);
}

} // namespace cleave::command
