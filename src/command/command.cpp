// The job that runs commands: what root prepares, and how all ranks run it.
#include "cleave/command.hpp"

#include "../words.hpp"
#include "campaign.hpp"
#include "cleave/executor.hpp"
#include "cleave/store.hpp"
#include "spawn_server.hpp"
#include "worker_places.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace cleave {
namespace command {
namespace {

namespace fs = std::filesystem;

/// A worker's line to its spawn server, as long as the Executor runs.
struct WorkerLine {
  explicit WorkerLine(const Worker& worker)
      : line(SpawnServer::of_this_process().connect(worker.rank(), worker.thread())) {}
  SpawnLine line;
};

std::vector<std::byte> nothing_done(std::int64_t task) {
  SpawnReport report;
  report.task = task;
  report.start_utc_s =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return pack(report);
}

} // namespace

/// A task of the Executor: one command, by a worker. Not in the anonymous namespace, since it
/// travels by its name.
Answer run_order(const Order& order, Worker& worker) {
  const auto& [task, bytes] = order;
  return {worker.rank(),
          bytes.empty() ? nothing_done(task) : worker.local<WorkerLine>(worker).line.run(bytes)};
}

namespace {

class Commands : public Job {
public:
  /// @param survey root's
  Commands(Settings settings, std::shared_ptr<const Spool> input, Survey survey, std::int64_t tasks,
           std::int64_t to_do)
      : settings_(std::move(settings)), input_(std::move(input)), survey_(std::move(survey)),
        tasks_(tasks), to_do_(to_do) {}

  [[nodiscard]] std::int64_t tasks() const override { return tasks_; }
  [[nodiscard]] double work() const override { return static_cast<double>(to_do_); }
  [[nodiscard]] double memory_bytes() const override { return static_cast<double>(tasks_) / 4; }
  void run(Pool& pool) override;
  [[nodiscard]] Verdict check() override;
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(answer_));
  }
  [[nodiscard]] Summary summary() const override;
  [[nodiscard]] std::vector<std::string> preview() const override;
  [[nodiscard]] std::string how_to_resume() const override;
  [[nodiscard]] std::vector<std::uint64_t> program_memory() const override { return memory_; }
  [[nodiscard]] std::optional<EarlierWork> earlier() const override { return survey_.earlier; }

private:
  void direct(Executor& executor, const Pool& pool);
  static void await_end(const Pool& pool, const Campaign& campaign);
  void begin_log();
  [[nodiscard]] bool log_is_whole() const;
  [[nodiscard]] std::string failures_text() const;

  Settings settings_;
  std::shared_ptr<const Spool> input_; // root's, where the list can be read once
  Survey survey_;                      // root's
  std::int64_t tasks_;
  std::int64_t to_do_; // of the first repetition
  int repetitions_ = 0;
  std::optional<JobLog> log_;             // root's, from the first repetition on
  Tally tally_;                           // root's
  std::int64_t withdrawn_ = 0;            // root's: tasks
  std::vector<std::uint64_t> memory_;     // root's, by rank: of the largest command
  std::array<std::uint64_t, 3> answer_{}; // root's: tasks, failures, digest
};

void Commands::run(Pool& pool) {
  const int rank = pool.comm().rank();
  SpawnServer::of_this_process().set_places(rank, worker_places(pool.layout(), rank));
  Executor::run(pool, [&](Executor& executor) { direct(executor, pool); });
}

// Only the first repetition goes on with what an earlier run has done.
void Commands::direct(Executor& executor, const Pool& pool) {
  if (repetitions_++ > 0)
    survey_ = {tasks_, std::vector<bool>(static_cast<std::size_t>(tasks_)), {}, {}, {}};
  if (!settings_.joblog.empty())
    begin_log();
  Campaign campaign(settings_, survey_, log_ ? &*log_ : nullptr,
                    [this](std::string_view text, bool error) { tell_output(text, error); });
  std::int64_t told_ns = 0;
  const auto take = [&](std::int64_t /*index*/, const Answer& answer) {
    campaign.take(answer, pool.comm().host_of(answer.first));
    constexpr std::int64_t pause_ns = 50'000'000;
    if (!pool.options().on_progress || monotonic_ns() - told_ns < pause_ns)
      return;
    told_ns = monotonic_ns();
    pool.options().on_progress(campaign.fraction());
  };
  // A time-out is the spawn server's to keep; the Executor's would end the whole run.
  executor.map_unordered<&run_order>(Orders(campaign), take, 0,
                                     {.timeout = std::chrono::duration<double>(0)});
  if (campaign.withdrawn() > 0)
    await_end(pool, campaign);
  campaign.finish();
  if (log_)
    settle(*log_, settings_.joblog);
  tally_ = campaign.tally();
  withdrawn_ = campaign.withdrawn();
  memory_ = campaign.memory();
  answer_ = {static_cast<std::uint64_t>(tally_.ended()),
             static_cast<std::uint64_t>(tally_.failed()), tally_.digest()};
}

// Who has signalled the commands asks the run to end, too: root may be about to hear of it.
void Commands::await_end(const Pool& pool, const Campaign& campaign) {
  using namespace std::chrono_literals;
  for (int look = 0; look < 40 && pool.options().on_progress; ++look) {
    pool.options().on_progress(campaign.fraction()); // throws
    std::this_thread::sleep_for(25ms);
  }
}

// Opened once: by the second repetition the name may be that of a later attempt's log.
void Commands::begin_log() {
  if (log_)
    return log_->begin_anew();
  log_ = take_log(settings_.joblog, survey_.kept);
  if (!log_->no_lock().empty())
    tell_warning({ErrorKind::io,
                  "cannot be locked (" + log_->no_lock() +
                      "): see to it that no other run writes it at the same time",
                  {log_->file().string(), 0, "joblog"}});
}

Verdict Commands::check() {
  if (tally_.failed() > 0)
    return {Verify::failed, failures_text(), ErrorKind::failed_task};
  if (withdrawn_ > 0)
    return {Verify::failed,
            std::to_string(withdrawn_) + " of " + std::to_string(tasks_) +
                " tasks were ended by a signal to all processes around them" +
                (settings_.joblog.empty()
                     ? ""
                     : std::string("; -p resume=true") +
                           (settings_.retry_failed ? " -p retry_failed=true" : "") +
                           " runs them anew"),
            ErrorKind::failed_task};
  if (tally_.ended() != tasks_)
    return {Verify::failed, std::to_string(tally_.ended()) + " of " + std::to_string(tasks_) +
                                " tasks were reported"};
  if (!settings_.joblog.empty() && !log_is_whole())
    return {Verify::failed, "the job log " + settings_.joblog.string() + " lacks tasks"};
  return {Verify::ok, "all " + std::to_string(tasks_) + " tasks ended with exit value 0" +
                          (settings_.joblog.empty() ? "" : ", each of them in the job log")};
}

// Reads list and log again, as a run that goes on would.
bool Commands::log_is_whole() const {
  Settings again = settings_;
  again.resume = true;
  again.retry_failed = true;
  try {
    const Survey found = survey(again);
    return found.tally.ended() == tasks_ && found.tally.digest() == tally_.digest();
  } catch (const Error&) {
    return false;
  }
}

std::string Commands::failures_text() const {
  const std::int64_t failed = tally_.failed();
  std::string text = std::to_string(failed) + " of " + std::to_string(tasks_) +
                     (tasks_ == 1 ? " task" : " tasks") + " failed, the first is task " +
                     tally_.failures().front();
  if (const std::int64_t left = tasks_ - tally_.ended() - withdrawn_; left > 0)
    text += "; " + std::to_string(left) + " were not begun, by max_failures";
  if (!settings_.joblog.empty())
    text += "; -p resume=true -p retry_failed=true tries them again";
  return text;
}

Summary Commands::summary() const {
  Summary facts = {{"tasks", tasks_},
                   {"ended", tally_.ended()},
                   {"failed", tally_.failed()},
                   {"earlier", tasks_ - to_do_}};
  if (tally_.failed() > 0)
    facts.push_back({"failures", tally_.failures()});
  if (!settings_.joblog.empty())
    facts.push_back({"joblog", settings_.joblog.string()});
  if (!settings_.outputs.empty())
    facts.push_back({"outputs", settings_.outputs.string()});
  return facts;
}

std::vector<std::string> Commands::preview() const {
  constexpr std::size_t most = 10;
  std::vector<std::string> lines;
  TaskList list(settings_.source);
  while (const std::optional<CommandTask> task = list.next()) {
    if (survey_.done.at(static_cast<std::size_t>(task->number - 1)))
      continue;
    if (lines.size() == most) {
      lines.push_back("... (" + std::to_string(to_do_) + " in all)");
      break;
    }
    lines.push_back(std::to_string(task->number) + ": " + task->text);
  }
  return lines;
}

std::string Commands::how_to_resume() const {
  return settings_.joblog.empty()
             ? "nothing is known of what was done: give a joblog the next time"
             : settings_.joblog.string() +
                   " has what was done: the same command with -p resume=true does the rest";
}

/// Refuses what could not be written after the work. Root.
void accept_outputs(const Settings& settings, const Values& values) {
  const fs::path log = settings.joblog.empty() ? fs::path() : latest_log(settings.joblog);
  if (!log.empty() && fs::exists(log) && !fs::is_regular_file(log))
    throw values.error("joblog", log.string() + " must be a regular file");
  if (!settings.source.csv.empty() && fs::exists(settings.source.csv) &&
      !fs::is_regular_file(settings.source.csv))
    throw values.error("csv", settings.source.csv.string() + " must be a regular file");
  if (!log.empty() && !settings.resume && fs::exists(log))
    throw values.error("joblog", log.string() + " exists; go on with it by resume=true, or give "
                                                "another name");
  try {
    if (!log.empty())
      check_output(settings.joblog, true);
  } catch (const Error& error) {
    throw values.error("joblog", error.what());
  }
  const fs::path& folder = settings.outputs;
  if (folder.empty())
    return;
  const bool there = fs::exists(folder);
  if (there && !fs::is_directory(folder))
    throw values.error("outputs", folder.string() + " must be a directory");
  if (there && !settings.resume && !fs::is_empty(folder))
    throw values.error("outputs", folder.string() + " is not empty; name another directory, or go "
                                                    "on with it by resume=true");
  try {
    check_output(there ? folder / "1.out" : folder, true);
  } catch (const Error& error) {
    throw values.error("outputs", error.what());
  }
}

/// Keeps a list that can be read only once, and points the settings there. Root.
std::shared_ptr<const Spool> spool(Settings& settings) {
  const fs::path& tasks = settings.source.tasks;
  if (!settings.from_stdin &&
      (!fs::exists(tasks) || fs::is_regular_file(tasks) || fs::is_directory(tasks)))
    return nullptr;
  const Descriptor opened(settings.from_stdin ? dup(STDIN_FILENO)
                                              : open(tasks.c_str(), O_RDONLY | O_CLOEXEC));
  auto kept = std::make_shared<const Spool>(opened.get(), settings.source.tasks_name);
  settings.source.tasks = kept->path();
  return kept;
}

} // namespace
} // namespace command

std::unique_ptr<Job> prepare_commands(const Values& values, Pool& pool) {
  using namespace command;
  start_spawn_server();
  Settings settings = read_settings(values);
  if (settings.order.timeout_s == 0)
    settings.order.timeout_s = pool.options().timeout.count();
  std::shared_ptr<const Spool> input;
  Survey found;
  const auto [tasks, to_do] = pool.from_root([&] {
    accept_outputs(settings, values);
    input = spool(settings);
    found = survey(settings);
    return std::pair(found.tasks, found.tasks - found.tally.ended());
  });
  return std::make_unique<Commands>(std::move(settings), std::move(input), std::move(found), tasks,
                                    to_do);
}

void start_spawn_server() {
  static_cast<void>(command::SpawnServer::of_this_process());
}

} // namespace cleave
