#include "child_process.hpp"

#include "../handle.hpp"
#include "../new_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

namespace cleave::command {
namespace {

using Clock = std::chrono::steady_clock;

// A program that did not start, or whose files did not open.
SpawnReport not_started(SpawnReport report, int exit_value, const std::string& what, int error) {
  report.exit_value = exit_value;
  report.error = what + ": " + std::strerror(error) + "\n";
  report.output_bytes = std::ssize(report.error);
  return report;
}

// One output stream of the child: a file, or a pipe whose first bytes are kept.
class Stream {
public:
  // @return an errno value; 0: it is open
  int open(const std::string& file) {
    if (!file.empty()) {
      theirs_ = open_output(file, O_WRONLY | O_TRUNC);
      return theirs_ ? 0 : errno;
    }
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
      return errno;
    ours_ = Descriptor(ends[0]);
    theirs_ = Descriptor(ends[1]);
    fcntl(ours_.get(), F_SETFL, O_NONBLOCK); // the child's end blocks, as it expects
    return 0;
  }

  [[nodiscard]] int theirs() const { return theirs_.get(); }
  [[nodiscard]] int ours() const { return ours_.get(); }
  void close_theirs() { theirs_ = Descriptor(); }

  // Takes what there is; what is too much is read and forgotten, so that the child goes on.
  void take(std::string& kept, std::int64_t& total, std::int64_t most) {
    std::array<char, 65'536> block; // NOLINT(*-member-init): only what was read is used
    while (ours_) {
      const ssize_t count = read(ours_.get(), block.data(), block.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count == 0 || (count < 0 && errno != EAGAIN))
        ours_ = Descriptor();
      if (count <= 0)
        return;
      total += count;
      const auto room = std::max<std::int64_t>(most - std::ssize(kept), 0);
      kept.append(block.data(), static_cast<std::size_t>(std::min<std::int64_t>(count, room)));
    }
  }

private:
  Descriptor ours_;
  Descriptor theirs_;
};

// What posix_spawn is told: a group of its own, no signal blocked or ignored on our account, and
// the three standard streams.
class SpawnRequest {
public:
  SpawnRequest(int output, int error) {
    posix_spawn_file_actions_init(&files_);
    posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files_, error, STDERR_FILENO);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                               POSIX_SPAWN_SETSIGDEF);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ})
      sigaddset(&signals, number);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
  }
  SpawnRequest(const SpawnRequest&) = delete;
  SpawnRequest& operator=(const SpawnRequest&) = delete;
  ~SpawnRequest() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }

  // @return an errno value; 0: the program runs as `child`
  int start(pid_t& child, const std::vector<std::string>& words, char* const* environment) {
    std::vector<char*> pointers;
    for (const std::string& word : words)
      pointers.push_back(const_cast<char*>(word.c_str())); // posix_spawn does not write there
    pointers.push_back(nullptr);
    return posix_spawnp(&child, pointers.front(), &files_, &attributes_, pointers.data(),
                        environment);
  }

private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

// A running program, and when its group gets which signal.
class Child {
public:
  Child(pid_t child, const SpawnOrder& order)
      : child_(child), kill_after_(order.kill_after_s),
        // A file descriptor that can be read when the child has ended: Linux 5.3.
        ended_(static_cast<int>(syscall(SYS_pidfd_open, child, 0))) {
    if (order.timeout_s > 0)
      deadline_ = after(std::chrono::duration<double>(order.timeout_s));
  }

  // Sleeps until something happens. @return whether the child has ended
  bool wait(const Stream& output, const Stream& error, int stop, int caller) {
    constexpr short hang_up = POLLRDHUP; // the caller sends nothing while it waits
    const int ours = ending_ ? -1 : stop;
    std::array<pollfd, 5> files = {{{ended_.get(), POLLIN, 0},
                                    {output.ours(), POLLIN, 0},
                                    {error.ours(), POLLIN, 0},
                                    {ours, POLLIN, 0},
                                    {ending_ ? -1 : caller, hang_up, 0}}};
    poll(files.data(), files.size(), milliseconds_left());
    if (!ending_ && (files[3].revents != 0 || files[4].revents != 0))
      end();
    if (Clock::now() >= deadline_)
      ending_ ? kill() : time_out();
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == child_;
  }

  // The child has ended.
  void reap(SpawnReport& report) {
    if (ending_) // no child of the child lives on; the number is taken until the child is waited
                 // for
      kill();
    int status = 0;
    rusage usage{};
    while (wait4(child_, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    report.exit_value = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    report.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (timed_out_)
      report.exit_value = -1;
    report.max_memory_kib = usage.ru_maxrss;
  }

private:
  [[nodiscard]] static Clock::time_point after(std::chrono::duration<double> time) {
    constexpr std::chrono::duration<double> longest = std::chrono::hours(24 * 365 * 10);
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::min(time, longest));
  }

  [[nodiscard]] int milliseconds_left() const {
    constexpr std::int64_t most = 3'600'000;
    constexpr std::int64_t glance = 5; // where the kernel does not tell of the child's end
    std::int64_t left = ended_ ? most : glance;
    const auto wait = deadline_ - std::min(Clock::now(), deadline_); // of what is due, none
    left = std::min(left, std::chrono::ceil<std::chrono::milliseconds>(wait).count());
    return static_cast<int>(left);
  }

  void time_out() {
    timed_out_ = true;
    end();
  }

  void end() {
    ending_ = true;
    killpg(child_, SIGTERM);
    killpg(child_, SIGCONT); // a stopped one would never see it
    deadline_ = after(kill_after_);
  }

  void kill() {
    killpg(child_, SIGKILL);
    deadline_ = Clock::time_point::max();
  }

  pid_t child_;
  std::chrono::duration<double> kill_after_;
  Descriptor ended_;
  Clock::time_point deadline_ = Clock::time_point::max(); // of the next signal
  bool ending_ = false;
  bool timed_out_ = false;
};

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

} // namespace

SpawnReport run_process(const SpawnOrder& order, char* const* environment, int stop, int caller) {
  SpawnReport report;
  report.task = order.task;
  report.start_utc_s = seconds_since_1970();
  Stream output;
  Stream error;
  for (const auto& [stream, file] :
       {std::pair(&output, &order.output_file), std::pair(&error, &order.error_file)})
    if (const int failure = stream->open(*file); failure != 0)
      return not_started(report, 126, "cannot open " + (file->empty() ? "a pipe" : *file), failure);

  const auto began = Clock::now();
  pid_t pid = 0;
  const int failure =
      SpawnRequest(output.theirs(), error.theirs()).start(pid, order.words, environment);
  if (failure != 0 && !order.error_file.empty())
    dprintf(error.theirs(), "cannot start %s: %s\n", order.words.front().c_str(),
            std::strerror(failure));
  if (failure != 0)
    return not_started(report, failure == ENOENT || failure == ENOTDIR ? 127 : 126,
                       "cannot start " + order.words.front(), failure);
  output.close_theirs();
  error.close_theirs();
  Child child(pid, order);
  for (bool ended = false; !ended;) {
    ended = child.wait(output, error, stop, caller);
    output.take(report.output, report.output_bytes, order.most_output);
    error.take(report.error, report.output_bytes, order.most_output);
  }
  report.runtime_s = std::chrono::duration<double>(Clock::now() - began).count();
  child.reap(report);
  return report;
}

} // namespace cleave::command
