#include "../handle.hpp"
#include "cleave/error.hpp"
#include "parts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds patience{30};

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorKind::io, "gnuplot: " + message);
}

fs::path find_program(const std::string& name) {
  const char* const path = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe)
  std::string_view rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    fs::path candidate = fs::path(rest.substr(0, end)) / name;
    if (end > 0 && access(candidate.c_str(), X_OK) == 0 && !fs::is_directory(candidate))
      return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

/// A file in memory: a child reads or writes it at its own pace, and no pipe fills up or breaks.
Descriptor memory_file(const char* name) {
  Descriptor file(memfd_create(name, MFD_CLOEXEC));
  if (file.get() < 0)
    fail(std::string("no memory file: ") + std::strerror(errno));
  return file;
}

void put(const Descriptor& file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR)
      fail(std::string("cannot keep the script: ") + std::strerror(errno));
    text.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
  lseek(file.get(), 0, SEEK_SET);
}

std::string contents(const Descriptor& file) {
  std::string text(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t got =
        pread(file.get(), text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (got <= 0)
      break;
    at += static_cast<std::size_t>(got);
  }
  text.resize(at);
  return text;
}

pid_t start(const fs::path& program, const Descriptor& in, const Descriptor& out,
            const Descriptor& messages) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, messages.get(), STDERR_FILENO);
  std::string name = program.string();
  std::string defaults = "-d"; // no ~/.gnuplot, which could change or run anything
  const std::array<char*, 3> argv = {name.data(), defaults.data(), nullptr};
  pid_t child = -1;
  const int error = posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    fail(std::string("cannot be started: ") + std::strerror(error));
  return child;
}

/// @return the wait status
int wait_for(pid_t child) {
  const auto until = std::chrono::steady_clock::now() + patience;
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(child, &status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
    if (std::chrono::steady_clock::now() > until) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      fail(fmt::format("did not end within {} s", patience.count()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return status;
}

} // namespace

Gnuplot::Gnuplot() : program_(find_program("gnuplot")) {}

std::string Gnuplot::draw(const Figure& figure, Picture picture) const {
  if (!present())
    fail("is not installed: apt install gnuplot-nox");
  const Descriptor script = memory_file("script");
  const Descriptor drawing = memory_file("drawing");
  const Descriptor messages = memory_file("messages");
  put(script, report::gnuplot_script(figure, picture));
  const int status = wait_for(start(program_, script, drawing, messages));
  std::string bytes = contents(drawing);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || bytes.empty())
    fail(fmt::format("failed at figure {}: {}", figure.name, contents(messages)));
  return bytes;
}

} // namespace cleave
