// The spawn server's own process: nothing here runs in a rank.
#include "child_process.hpp"
#include "cleave/serialize.hpp"
#include "cleave/timings.hpp"
#include "spawn_server.hpp"
#include "task_environment.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>

namespace cleave::command {
namespace {

// What connect() sent: a worker's place, and its line.
struct Hello {
  WorkerPlace place;
  Descriptor line;
};

// Nothing of the parent stays open but the control socket, lest its other ends never close.
void close_all_but(int control) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    dup2(null, standard);
  const auto close_from = [](int first, int last) {
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
      return;
    for (int file = first; file <= std::min(last, 65'535); ++file) // before Linux 5.9
      close(file);
  };
  close_from(STDERR_FILENO + 1, control - 1);
  close_from(control + 1, std::numeric_limits<int>::max());
}

constexpr std::array asks_to_end = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

// A file descriptor that can be read when the parent, or one of its threads, has ended, or somebody
// wants this process to end. Out of the parent's group and session: what a terminal or a launcher
// sends those must not end the server before it has ended the commands.
Descriptor watch_parent() {
  setsid();
  prctl(PR_SET_NAME, "cleave-spawn");
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : asks_to_end)
    sigaddset(&signals, number);
  pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  return Descriptor(signalfd(-1, &signals, SFD_CLOEXEC));
}

// Receives a line; nothing when the other end of `control` has gone.
std::optional<Hello> receive(int control) {
  std::vector<std::byte> bytes(1 << 20);
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> extra{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = extra.data();
  message.msg_controllen = extra.size();
  ssize_t count = 0;
  do
    count = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
  while (count < 0 && errno == EINTR);
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (count <= 0 || header == nullptr)
    return std::nullopt;
  int line = -1;
  std::memcpy(&line, CMSG_DATA(header), sizeof line);
  Hello hello{{}, Descriptor(line)};
  bytes.resize(static_cast<std::size_t>(count));
  Unpacker from(bytes);
  hello.place.cpus = from.get<std::vector<int>>();
  hello.place.environment = from.get<std::vector<std::string>>();
  return hello;
}

void run_on(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus)
    CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (!cpus.empty()) // refusal costs speed alone
    sched_setaffinity(0, sizeof set, &set);
}

// Replaces the variable of the same name, or adds it.
void set_variable(Environment& environment, const std::string& variable) {
  const std::string name = variable.substr(0, variable.find('=') + 1);
  std::erase_if(environment, [&](const std::string& other) { return other.starts_with(name); });
  environment.push_back(variable);
}

// Serves one worker.
class Service {
public:
  // @param signalled_ns when this process has got its last signal
  Service(Hello hello, Environment environment, int stop,
          const std::atomic<std::int64_t>& signalled_ns)
      : line_(std::move(hello.line)), environment_(std::move(environment)), stop_(stop),
        signalled_ns_(signalled_ns) {
    run_on(hello.place.cpus);
    for (const std::string& variable : hello.place.environment)
      set_variable(environment_, variable);
    set_variable(environment_, "CLEAVE_TASK=");
    for (std::string& variable : environment_)
      pointers_.push_back(variable.data());
    pointers_.push_back(nullptr);
  }

  void serve() {
    while (const auto bytes = read_message(line_.get()))
      if (!write_message(line_.get(), pack(run(unpack_order(*bytes)))))
        return;
  }

private:
  SpawnReport run(const SpawnOrder& order) {
    std::string task = "CLEAVE_TASK=" + std::to_string(order.task);
    pointers_[pointers_.size() - 2] = task.data();
    for (std::int64_t attempt = 1;; ++attempt) {
      const std::int64_t began_ns = monotonic_ns();
      SpawnReport report = run_process(order, pointers_.data(), stop_, line_.get());
      report.attempts = attempt;
      report.withdrawn = was_hit(report, began_ns);
      if (report.succeeded() || report.withdrawn || attempt > order.retries || stopped())
        return report;
    }
  }

  // Some Slurms signal every process of a step, also those that a task has started, when they hand
  // on a signal that is meant for the ranks. What stands around such a process may fail by its end.
  [[nodiscard]] bool was_hit(const SpawnReport& report, std::int64_t began_ns) const {
    if (report.succeeded() || report.exit_value == -1 || stopped())
      return false;
    const bool by_signal = std::ranges::any_of(asks_to_end, [&report](int number) {
      return report.signal == number || report.exit_value == 128 + number;
    });
    constexpr int looks = 20; // ours may be on its way yet
    for (int look = 0; by_signal && look < looks && signalled_ns_.load() < began_ns; ++look)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    constexpr std::int64_t just_now_ns = 1'000'000'000;
    const std::int64_t last_ns = signalled_ns_.load();
    return last_ns >= began_ns && (by_signal || monotonic_ns() - last_ns < just_now_ns);
  }

  [[nodiscard]] bool stopped() const {
    std::array<pollfd, 2> files = {{{stop_, POLLIN, 0}, {line_.get(), POLLRDHUP, 0}}};
    return poll(files.data(), files.size(), 0) > 0;
  }

  Descriptor line_;
  Environment environment_;
  std::vector<char*> pointers_;
  int stop_;
  const std::atomic<std::int64_t>& signalled_ns_;
};

// A thread for each line that is open.
class Services {
public:
  Services() : stop_(eventfd(0, EFD_CLOEXEC)) {
    const Environment own = own_environment();
    environment_ = task_environment(own, is_of_rank(own) ? launcher_environment() : std::nullopt);
  }
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;
  ~Services() {
    eventfd_write(stop_.get(), 1);
    for (int open = open_.load(); open > 0; open = open_.load())
      open_.wait(open);
  }

  // This process has got a signal.
  void note_signal() noexcept { signalled_ns_ = monotonic_ns(); }

  // Where no thread can be had, the worker sees its line end.
  void add(Hello hello) noexcept {
    open_.fetch_add(1);
    try {
      std::thread(&Services::serve, this, std::move(hello)).detach();
    } catch (const std::exception&) {
      open_.fetch_sub(1);
    }
  }

private:
  void serve(Hello hello) noexcept {
    try {
      Service(std::move(hello), environment_, stop_.get(), signalled_ns_).serve();
    } catch (const std::exception&) { // the worker sees its line end
    }
    open_.fetch_sub(1);
    open_.notify_one();
  }

  Environment environment_;
  Descriptor stop_;
  std::atomic<int> open_ = 0;
  std::atomic<std::int64_t> signalled_ns_ = std::numeric_limits<std::int64_t>::min();
};

// Waits for lines and for the parent's end.
void accept_lines(int control, pid_t parent, int signals, Services& services) {
  while (getppid() == parent) {
    std::array<pollfd, 2> files = {{{control, POLLIN, 0}, {signals, POLLIN, 0}}};
    poll(files.data(), files.size(), -1);
    if (files[1].revents != 0) { // a thread's end is none of the process, and others may not end it
      signalfd_siginfo info{};
      if (read(signals, &info, sizeof info) > 0)
        services.note_signal();
      continue;
    }
    if (std::optional<Hello> hello = receive(control))
      services.add(std::move(*hello));
    else
      return;
  }
}

} // namespace

void serve_spawns(int control, pid_t parent) {
  try {
    close_all_but(control);
    const Descriptor signals = watch_parent();
    Services services;
    accept_lines(control, parent, signals.get(), services);
  } catch (const std::exception&) { // nobody to tell here; the lines end
    return;
  }
}

} // namespace cleave::command
