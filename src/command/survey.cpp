#include "survey.hpp"

#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/timings.hpp"
#include "job_log.hpp"

#include <algorithm>
#include <array>
#include <bitset>
#include <span>
#include <unordered_map>

namespace cleave::command {
namespace {

constexpr std::size_t most_told = 10; // failures

std::uint64_t mark(std::int64_t task, const std::string& command) {
  const std::string text = std::to_string(task) + "\t" + command;
  return checksum(std::as_bytes(std::span(text)));
}

// What a log says of each task: of its last line, for a task may have been tried again.
class Logged {
public:
  explicit Logged(const std::filesystem::path& file) {
    bytes_ = read_job_log(file, [this](const JobRecord& record) { add(record); });
  }

  [[nodiscard]] bool has(std::int64_t task) const {
    const auto block = seen_.find(task / block_tasks);
    return block != seen_.end() && block->second[static_cast<std::size_t>(task % block_tasks)];
  }
  // Its record, where it failed.
  [[nodiscard]] const JobRecord* failure(std::int64_t task) const {
    const auto found = failures_.find(task);
    return found == failures_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::int64_t tasks() const { return tasks_; }
  // A sum over tasks and their commands.
  [[nodiscard]] std::uint64_t marks() const { return marks_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] const std::optional<EarlierWork>& work() const { return work_; }

private:
  void add(const JobRecord& record) {
    const double end_s = record.start_utc_s + record.runtime_s;
    if (!work_)
      work_ = EarlierWork{record.start_utc_s, end_s, 0};
    work_->begun_utc_s = std::min(work_->begun_utc_s, record.start_utc_s);
    work_->last_utc_s = std::max(work_->last_utc_s, end_s);
    if (!has(record.task)) {
      seen_[record.task / block_tasks].set(static_cast<std::size_t>(record.task % block_tasks));
      work_->tasks = ++tasks_;
      marks_ += mark(record.task, record.command);
    }
    if (record.succeeded())
      failures_.erase(record.task);
    else
      failures_[record.task] = record;
  }

  static constexpr std::int64_t block_tasks = 4096;
  // In blocks, so that a line with a great number takes no more memory than another.
  std::unordered_map<std::int64_t, std::bitset<block_tasks>> seen_;
  std::optional<EarlierWork> work_;
  std::int64_t bytes_ = 0;
  std::int64_t tasks_ = 0;
  std::uint64_t marks_ = 0;
  std::map<std::int64_t, JobRecord> failures_;
};

// The log and the list differ: says where, if it can be found among the first lines of the log.
Error other_list(const Settings& settings, const std::filesystem::path& log) {
  std::map<std::int64_t, std::string> first;
  read_job_log(log, [&first](const JobRecord& record) {
    if (first.size() < 10'000)
      first.emplace(record.task, record.command);
  });
  std::string where;
  TaskList list(settings.source);
  for (auto at = first.begin(); where.empty() && at != first.end();) {
    const std::optional<CommandTask> task = list.next();
    if (!task)
      where = ": it has task " + std::to_string(at->first) + ", the list ends before";
    else if (task->number == at->first && task->text != at->second)
      where = ": task " + std::to_string(task->number) + " is " + in_quotes(at->second) +
              " there, and " + in_quotes(task->text) + " in the list";
    else if (task->number == at->first)
      ++at;
  }
  return {ErrorKind::bad_input,
          "is the log of other commands" + where + "; name another log, or leave resume out",
          {log.string(), 0, "joblog"}};
}

std::string ending(std::int64_t exit_value, std::int64_t signal) {
  if (exit_value == -1)
    return "timed out";
  return signal != 0 ? "signal " + std::to_string(signal)
                     : "exit value " + std::to_string(exit_value);
}

} // namespace

void Tally::add(std::int64_t task, std::int64_t exit_value, std::int64_t signal,
                const std::string& command) {
  ++ended_;
  // Which signal ends what takes too long depends on how it is loaded.
  const std::array<std::int64_t, 3> how = {task, exit_value, exit_value == -1 ? 0 : signal};
  digest_ += checksum(std::as_bytes(std::span(how)));
  if (exit_value == 0 && signal == 0)
    return;
  ++failed_;
  failures_[task] = std::to_string(task) + ": " + ending(exit_value, signal) + ": " + command;
  if (failures_.size() > most_told)
    failures_.erase(std::prev(failures_.end()));
}

std::vector<std::string> Tally::failures() const {
  std::vector<std::string> lines;
  for (const auto& [task, line] : failures_)
    lines.push_back(line);
  return lines;
}

Survey survey(const Settings& settings) {
  Survey survey;
  std::optional<Logged> logged;
  if (settings.resume) {
    survey.kept.file = latest_log(settings.joblog);
    survey.kept.bytes = logged.emplace(survey.kept.file).bytes();
    survey.earlier = logged->work();
  }
  std::uint64_t marks = 0;
  std::int64_t seen = 0;
  TaskList list(settings.source);
  while (const std::optional<CommandTask> task = list.next()) {
    ++survey.tasks;
    const bool known = logged && logged->has(task->number);
    if (!known) {
      survey.done.push_back(false);
      continue;
    }
    ++seen;
    marks += mark(task->number, task->text);
    const JobRecord* const failure = logged->failure(task->number);
    const bool done = failure == nullptr || !settings.retry_failed;
    survey.done.push_back(done);
    if (done)
      survey.tally.add(task->number, failure == nullptr ? 0 : failure->exit_value,
                       failure == nullptr ? 0 : failure->signal, task->text);
  }
  if (logged && (seen != logged->tasks() || marks != logged->marks()))
    throw other_list(settings, survey.kept.file);
  return survey;
}

} // namespace cleave::command
