// Starting a launcher and waiting for it.
#include "cleave/error.hpp"
#include "cleave/launch.hpp"
#include "handle.hpp"
#include "new_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace cleave {
namespace {

using namespace std::chrono_literals;

// What the child needs, made before the fork: after it nothing may allocate.
class TextPointers {
public:
  explicit TextPointers(std::vector<std::string> texts) : texts_(std::move(texts)) {
    for (std::string& text : texts_)
      pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
  }
  [[nodiscard]] char* const* get() const { return pointers_.data(); }

private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

std::vector<std::string> environment_with(const std::map<std::string, std::string>& more) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable)
    all.emplace_back(*variable);
  for (const auto& [name, value] : more)
    if (std::getenv(name.c_str()) == nullptr)
      all.emplace_back(name).append("=").append(value);
  return all;
}

// The child's way, which posix_spawn cannot go: it has no word for the parent's death. Returns
// where the program cannot be started.
void become_child(pid_t parent, int input, int output, char* const* words, char* const* variables) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) // it died before that was set
    _exit(EXIT_FAILURE);
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ})
    signal(number, SIG_DFL);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execvpe(words[0], words, variables);
}

// Such as 'R', 'S' or 'Z', as /proc has it behind the name; a blank where there is no such process.
char state_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(") ");
  return name_end == std::string::npos ? ' ' : text[name_end + 2];
}

// Whether a process has children, all of them dead and none of them waited for. Not known: false.
bool is_forlorn(pid_t process) {
  const std::string task = "/proc/" + std::to_string(process) + "/task/";
  std::error_code gone;
  bool any = false;
  for (const auto& thread : std::filesystem::directory_iterator(task, gone)) {
    std::ifstream children(thread.path() / "children");
    for (pid_t child = 0; children >> child; any = true)
      if (state_of(child) != 'Z')
        return false;
  }
  return any;
}

// The errno value that the child sends when it could not start the program; 0: it has.
int failure_told(const Descriptor& pipe) {
  int error = 0;
  while (read(pipe.get(), &error, sizeof error) < 0 && errno == EINTR) {
  }
  return error;
}

} // namespace

Launch::Launch(const CommandLine& command, const std::filesystem::path& output) {
  const auto require = [&](bool done, const std::string& file) {
    if (!done)
      throw Error(ErrorKind::io, std::string("cannot be opened: ") + std::strerror(errno),
                  {file, 0, ""});
  };
  const Descriptor input(open("/dev/null", O_RDONLY | O_CLOEXEC));
  require(static_cast<bool>(input), "/dev/null");
  const Descriptor log = open_output(output, O_WRONLY | O_APPEND);
  require(static_cast<bool>(log), output.string());
  std::array<int, 2> ends{};
  require(pipe2(ends.data(), O_CLOEXEC) == 0, "a pipe");
  const Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);

  const TextPointers words(command.arguments);
  const TextPointers variables(environment_with(command.environment));
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    become_child(parent, input.get(), log.get(), words.get(), variables.get());
    const int error = errno;
    static_cast<void>(write(theirs.get(), &error, sizeof error));
    _exit(EXIT_FAILURE);
  }
  if (child < 0)
    throw Error(ErrorKind::io, std::string("cannot start a process: ") + std::strerror(errno));
  theirs = Descriptor();
  pid_ = child;
  watch_ = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  if (const int error = failure_told(ours); error != 0) {
    waitpid(child, nullptr, 0);
    if (watch_ >= 0)
      close(watch_);
    throw Error(ErrorKind::bad_input, "cannot start " + command.arguments.front() + ": " +
                                          std::strerror(error) +
                                          "; install it, or choose another launcher by --launcher");
  }
}

Launch::~Launch() {
  if (!status_)
    terminate();
  while (!wait(1s)) {
  }
  if (watch_ >= 0)
    close(watch_);
}

std::optional<int> Launch::wait(std::chrono::milliseconds time) {
  if (status_)
    return status_;
  pollfd end{watch_, POLLIN, 0};
  const auto slice = watch_ >= 0 ? time : std::min<std::chrono::milliseconds>(time, 20ms);
  poll(&end, 1, static_cast<int>(slice.count()));
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_)
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  else
    end_if_forlorn();
  return status_;
}

void Launch::end_if_forlorn() {
  const auto now = std::chrono::steady_clock::now();
  if (!is_forlorn(pid_))
    forlorn_.reset();
  else if (now - forlorn_.value_or(now) > 10s)
    kill(pid_, SIGKILL);
  else
    forlorn_ = forlorn_.value_or(now);
}

void Launch::terminate() const noexcept {
  if (!status_)
    kill(pid_, SIGTERM);
}

} // namespace cleave
