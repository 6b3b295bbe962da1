#include "store_trial.hpp"

#include "cleave/error.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <utility>

namespace cleave {
namespace {

/// The child dies at once and silently of whatever the bytes do to it.
void expect_death(std::chrono::seconds cpu_limit) {
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGXCPU, SIGTERM, SIGINT})
    signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDERR_FILENO);
  const auto seconds = static_cast<rlim_t>(cpu_limit.count()); // waiting for a slow disk is no loop
  const rlimit cpu = {seconds, seconds};
  setrlimit(RLIMIT_CPU, &cpu);
}

[[noreturn]] void be_the_child(const std::function<void()>& work, std::chrono::seconds cpu_limit,
                               int answer) noexcept {
  expect_death(cpu_limit);
  std::string message;
  try {
    work();
  } catch (const Error& error) {
    message = error.message();
  } catch (const std::exception& error) {
    message = error.what();
  }
  const bool told = write(answer, message.data(), message.size()) >= 0;
  _exit(told ? 0 : 1); // not exit(): what this process would do at its end is its parent's to do
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> part{};
  ssize_t got = 0;
  while ((got = read(descriptor, part.data(), part.size())) > 0 || (got < 0 && errno == EINTR))
    text.append(part.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return -1;
  return status;
}

} // namespace

Trial::Trial(const std::function<void()>& work, std::chrono::seconds cpu_limit) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Error(ErrorKind::io, std::string("cannot make a pipe: ") + std::strerror(errno));
  answer_ = Descriptor(ends[0]);
  const Descriptor question(ends[1]);
  child_ = fork();
  if (child_ < 0)
    throw Error(ErrorKind::io, std::string("cannot start a process: ") + std::strerror(errno));
  if (child_ == 0)
    be_the_child(work, cpu_limit, question.get());
}

Trial::Trial(Trial&& other) noexcept
    : answer_(std::move(other.answer_)), child_(std::exchange(other.child_, -1)) {}

Trial& Trial::operator=(Trial&& other) noexcept {
  std::swap(answer_, other.answer_);
  std::swap(child_, other.child_);
  return *this;
}

Trial::~Trial() {
  if (child_ <= 0)
    return;
  kill(child_, SIGKILL);
  wait_for(child_);
}

TrialEnd Trial::end() {
  std::string message = read_all(answer_.get());
  const int status = wait_for(std::exchange(child_, -1));
  return {WIFEXITED(status) && WEXITSTATUS(status) == 0, std::move(message)};
}

TrialEnd trial(const std::function<void()>& work, std::chrono::seconds cpu_limit) {
  return Trial(work, cpu_limit).end();
}

} // namespace cleave
