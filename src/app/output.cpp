#include "output.hpp"

#include "json.hpp"
#include "text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace cleave::app {
namespace {

Error lost_output(const char* stream, const std::string& why) {
  return {ErrorKind::io, why + "; send it to a place that takes it", {stream, 0, ""}};
}

} // namespace

void hold_standard_streams() noexcept {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1)
      continue;
    // Opened the wrong way round: whoever uses it is refused, as before. The lowest free number is
    // this one, for those below are taken by now.
    const int held = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    static_cast<void>(held);
  }
}

void take_lost_output_for_errors() noexcept {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void require_output() {
  const int flags = fcntl(STDOUT_FILENO, F_GETFL);
  if (flags == -1 || (flags & O_ACCMODE) == O_RDONLY)
    throw lost_output("standard output", "is closed");
}

std::optional<Error> print(const std::string& text) {
  return print_output(text, false);
}

std::optional<Error> print_output(std::string_view text, bool error) {
  errno = 0;
  std::FILE* const stream = error ? stderr : stdout;
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream); // a pipe to mpirun buffers, and the work ahead is long
  if (std::ferror(stream) == 0)
    return std::nullopt;
  return lost_output(error ? "standard error" : "standard output",
                     errno == 0 ? "could not be written whole"
                                : std::string("cannot be written: ") + std::strerror(errno));
}

void say(const std::string& text) {
  if (const std::optional<Error> lost = print(text))
    throw Error(*lost);
}

void tell(const Error& error, bool json, int rank) {
  if (json && std::ferror(stdout) == 0)
    static_cast<void>(print(error_json(error)));
  const std::string text = error_text(error, rank);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

} // namespace cleave::app
