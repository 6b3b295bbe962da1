#include "campaign.hpp"

#include "cleave/error.hpp"

#include <algorithm>
#include <system_error>

namespace cleave::command {
namespace {

void make_folder(const std::filesystem::path& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure)
    throw Error(ErrorKind::io, "cannot be made: " + failure.message(),
                {folder.string(), 0, "outputs"});
}

} // namespace

Campaign::Campaign(const Settings& settings, const Survey& survey, JobLog* log, Tell tell)
    : settings_(settings), survey_(survey), list_(settings.source), log_(log),
      output_(std::move(tell), survey.done, settings.tag), tally_(survey.tally) {
  if (!settings.outputs.empty())
    make_folder(settings.outputs);
}

std::optional<Order> Campaign::next() {
  if (settings_.max_failures > 0 &&
      tally_.failed() - survey_.tally.failed() >= settings_.max_failures)
    return std::nullopt;
  std::optional<CommandTask> task = list_.next();
  while (task && is_done(task->number))
    task = list_.next();
  if (!task)
    return std::nullopt;
  given_.emplace(task->number, std::move(task->text));
  if (task->words == std::vector<std::string>{":"})
    return Order{task->number, {}};
  SpawnOrder order = settings_.order;
  order.task = task->number;
  order.words = std::move(task->words);
  if (!settings_.outputs.empty()) {
    const std::string stem = (settings_.outputs / std::to_string(task->number)).string();
    order.output_file = stem + ".out";
    order.error_file = stem + ".err";
  }
  return Order{task->number, pack(order)};
}

bool Campaign::is_done(std::int64_t task) const {
  if (task > survey_.tasks)
    throw Error(ErrorKind::failed_task, "has changed since the run began",
                {settings_.source.tasks_name, 0, "tasks"});
  return survey_.done[static_cast<std::size_t>(task - 1)];
}

void Campaign::take(const Answer& answer, const std::string& host) {
  const auto& [rank, bytes] = answer;
  SpawnReport report = unpack_report(bytes);
  auto given = given_.extract(report.task);
  if (given.empty())
    throw Error(ErrorKind::failed_task,
                "task " + std::to_string(report.task) + " was reported twice");
  if (report.withdrawn) {
    ++withdrawn_;
    return output_.add(report.task, {}, {});
  }
  tally_.add(report.task, report.exit_value, report.signal, given.mapped());
  note_memory(static_cast<std::size_t>(rank), report.max_memory_kib);
  log(report, rank, host, std::move(given.mapped()));
  output_.add(report.task, std::move(report.output), std::move(report.error));
}

void Campaign::note_memory(std::size_t rank, std::int64_t kib) {
  memory_.resize(std::max(memory_.size(), rank + 1));
  memory_[rank] = std::max(memory_[rank], static_cast<std::uint64_t>(kib) * 1024);
}

void Campaign::log(const SpawnReport& report, std::int32_t rank, const std::string& host,
                   std::string command) {
  if (log_ == nullptr)
    return;
  log_->append({.task = report.task,
                .host = host,
                .start_utc_s = report.start_utc_s,
                .runtime_s = report.runtime_s,
                .received = report.output_bytes,
                .exit_value = report.exit_value,
                .signal = report.signal,
                .command = std::move(command),
                .rank = rank,
                .max_memory_kib = report.max_memory_kib});
}

double Campaign::fraction() const noexcept {
  return survey_.tasks > 0
             ? static_cast<double>(tally_.ended()) / static_cast<double>(survey_.tasks)
             : 1;
}

} // namespace cleave::command
