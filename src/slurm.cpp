#include "cleave/slurm.hpp"

#include "handle.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

namespace cleave {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// What squeue must not see: variables that belong to the rank, and those that change what it prints
// or whom it asks.
bool is_kept_from_squeue(std::string_view variable) {
  constexpr std::array<std::string_view, 9> prefixes = {
      "OMPI_", "PMIX_",   "PMI_",           "PRTE_",      "ORTE_",
      "TZ=",   "SQUEUE_", "SLURM_CLUSTERS", "SLURM_TIME_"};
  return std::ranges::any_of(prefixes,
                             [&](std::string_view prefix) { return variable.starts_with(prefix); });
}

std::vector<std::string> squeue_environment() {
  std::vector<std::string> variables = {"TZ=UTC0"}; // so that no hour comes twice in autumn
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!is_kept_from_squeue(*variable))
      variables.emplace_back(*variable);
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts)
    pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// A process group of its own, no signal blocked or ignored on our account, and no standard stream
// of ours: what it prints comes through a pipe.
class SqueueProcess {
public:
  SqueueProcess(std::vector<std::string> words, std::vector<std::string> environment) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
      return;
    output_ = Descriptor(ends[0]);
    fcntl(output_.get(), F_SETFL, O_NONBLOCK);
    const Descriptor theirs(ends[1]);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, theirs.get(), STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2})
      sigaddset(&signals, number);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    if (posix_spawnp(&pid_, words.front().c_str(), &files, &attributes, pointers_to(words).data(),
                     pointers_to(environment).data()) != 0)
      pid_ = 0;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
  }
  SqueueProcess(const SqueueProcess&) = delete;
  SqueueProcess& operator=(const SqueueProcess&) = delete;
  ~SqueueProcess() {
    if (pid_ == 0)
      return;
    kill(-pid_, SIGKILL);
    ended(Clock::now() + 1s); // what hangs in the kernel may not hang us
  }

  // What it prints, if it ends in time and well.
  std::optional<std::string> answer(Clock::time_point until) {
    std::string text;
    if (pid_ == 0 || !read_all(text, until) || ended(until) != 0)
      return std::nullopt;
    return text;
  }

private:
  bool read_all(std::string& text, Clock::time_point until) {
    std::array<char, 4096> block; // NOLINT(*-member-init): only what was read is used
    for (;;) {
      const ssize_t count = ::read(output_.get(), block.data(), block.size());
      if (count == 0)
        return true;
      if (count > 0)
        text.append(block.data(), static_cast<std::size_t>(count));
      else if (errno != EAGAIN && errno != EINTR)
        return false;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
      if (left <= 0ms || text.size() > 65'536)
        return false;
      pollfd more{output_.get(), POLLIN, 0};
      poll(&more, 1, static_cast<int>(left.count()));
    }
  }

  // Its exit status, -1 when a signal ended it; nothing when it runs on.
  std::optional<int> ended(Clock::time_point until) {
    for (;;) {
      int status = 0;
      const pid_t found = waitpid(pid_, &status, WNOHANG);
      if (found == pid_ || (found < 0 && errno != EINTR)) {
        pid_ = 0;
        return found > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      }
      if (Clock::now() >= until)
        return std::nullopt;
      poll(nullptr, 0, 1);
    }
  }

  Descriptor output_;
  pid_t pid_ = 0;
};

std::string text_in(const std::string& name) {
  const char* text = std::getenv(name.c_str());
  return text == nullptr ? "" : text;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = failure == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

constexpr std::int64_t most_counted = 1 << 30;

int count_in(const char* name) {
  return static_cast<int>(
      std::clamp<std::int64_t>(whole_number(text_in(name)).value_or(0), 0, most_counted));
}

// Of "4", a node, or "4(x2)", two.
std::optional<std::int64_t> cpus_of_part(std::string_view part) {
  std::optional<std::int64_t> nodes = 1;
  if (const std::size_t times = part.find("(x"); times != std::string_view::npos) {
    if (!part.ends_with(')'))
      return std::nullopt;
    nodes = whole_number(part.substr(times + 2, part.size() - times - 3));
    part = part.substr(0, times);
  }
  const std::optional<std::int64_t> each = whole_number(part);
  const auto sensible = [](const auto& count) {
    return count && *count >= 0 && *count <= most_counted;
  };
  return sensible(nodes) && sensible(each) ? std::optional(*nodes * *each) : std::nullopt;
}

// Of all components of a heterogeneous job; 0 where it is not told of each.
int cpus_of_components(int components) {
  std::int64_t cpus = 0;
  for (int i = 0; i < components; ++i) {
    const int more = slurm_cpus(text_in("SLURM_JOB_CPUS_PER_NODE_HET_GROUP_" + std::to_string(i)));
    if (more == 0)
      return 0;
    cpus = std::min(cpus + more, most_counted);
  }
  return static_cast<int>(cpus);
}

// That of salloc's own shell (SLURM_INTERACTIVE_STEP), where mpirun has all of the job.
constexpr std::int64_t interactive_step = 0xfffffffa;

// Not by a daemon of mpirun on another node, which is in a step of its own.
bool started_by_mpirun() {
  std::string parent;
  std::getline(std::ifstream("/proc/" + std::to_string(getppid()) + "/comm"), parent);
  constexpr std::array<std::string_view, 4> launchers = {"mpirun", "mpiexec", "orterun", "prterun"};
  return std::ranges::find(launchers, parent) != launchers.end();
}

// The number of one task of an array may be that of the whole array as well.
std::string job_name() {
  const std::string array = text_in("SLURM_ARRAY_JOB_ID");
  const std::string task = text_in("SLURM_ARRAY_TASK_ID");
  return array.empty() || task.empty() ? text_in("SLURM_JOB_ID") : array + "_" + task;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

} // namespace

std::optional<std::int64_t> slurm_job_end(std::chrono::milliseconds limit) {
  if (text_in("SLURM_JOB_ID").empty())
    return std::nullopt;
  const auto until = Clock::now() + limit;
  SqueueProcess squeue({"squeue", "-h", "-j", job_name(), "-o", "%e"}, squeue_environment());
  if (const auto answer = squeue.answer(until))
    return slurm_time(last_line(*answer));
  return whole_number(text_in("SLURM_JOB_END_TIME"));
}

SlurmFacts slurm_facts() {
  SlurmFacts facts;
  facts.job = whole_number(text_in("SLURM_JOB_ID")).value_or(0);
  if (facts.job == 0)
    return facts;
  facts.nodes = count_in("SLURM_JOB_NUM_NODES");
  facts.tasks = count_in("SLURM_NTASKS");
  facts.cpus = slurm_cpus(text_in("SLURM_JOB_CPUS_PER_NODE"));
  facts.components = count_in("SLURM_HET_SIZE");
  facts.components_cpus = cpus_of_components(facts.components);
  if (started_by_mpirun() && whole_number(text_in("SLURM_STEP_ID")) != interactive_step)
    facts.tasks_around_mpirun = count_in("SLURM_STEP_NUM_TASKS");
  facts.memory_mib = count_in("SLURM_MEM_PER_NODE");
  if (facts.memory_mib == 0)
    facts.memory_mib = std::int64_t{count_in("SLURM_MEM_PER_CPU")} * count_in("SLURM_CPUS_ON_NODE");
  return facts;
}

int slurm_cpus(std::string_view text) {
  std::int64_t cpus = 0;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    const std::optional<std::int64_t> more = cpus_of_part(part);
    if (!more)
      return 0;
    cpus = std::min(cpus + *more, most_counted);
  }
  return static_cast<int>(cpus);
}

int slurm_attempt() {
  constexpr std::int64_t most = 1'000'000;
  const std::int64_t requeued = whole_number(text_in("SLURM_RESTART_COUNT")).value_or(0);
  return static_cast<int>(std::clamp<std::int64_t>(requeued, 0, most)) + 1;
}

std::string slurm_label() {
  const std::string job = job_name();
  const int number = slurm_attempt();
  const std::string attempt = number > 1 ? "-a" + std::to_string(number) : "";
  // It becomes a part of a file's name.
  const bool plain = job.find_first_not_of("0123456789_") == std::string::npos;
  return job.empty() || !plain ? "" : "j" + job + attempt;
}

std::optional<std::int64_t> slurm_time(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* end = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0')
    return std::nullopt;
  return timegm(&parts);
}

} // namespace cleave
