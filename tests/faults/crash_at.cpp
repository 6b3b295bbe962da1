// Kills the program at its CLEAVE_CRASH_AT-th change of the folder that it was started in, or of
// those in it: for instants.py, by LD_PRELOAD.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

template <class Function>
Function behind(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void change(const char* path) {
  static const char* const at = std::getenv("CLEAVE_CRASH_AT");
  static const bool ours = std::strcmp(program_invocation_short_name, "cleave") == 0;
  static std::atomic<int> count = 0;
  if (at != nullptr && ours && path[0] != '/' && ++count == std::atoi(at))
    std::raise(SIGKILL);
}

int opened(const char* name, const char* path, int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_TRUNC)) != 0)
    change(path);
  return behind<int (*)(const char*, int, ...)>(name)(path, flags, mode);
}

std::FILE* stream(const char* name, const char* path, const char* mode) {
  if (mode[0] != 'r')
    change(path);
  return behind<std::FILE* (*)(const char*, const char*)>(name)(path, mode);
}

mode_t mode_in(std::va_list arguments, int flags) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

} // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(arguments, flags);
  va_end(arguments);
  return opened("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(arguments, flags);
  va_end(arguments);
  return opened("open64", path, flags, mode);
}

std::FILE* fopen(const char* path, const char* mode) {
  return stream("fopen", path, mode);
}

std::FILE* fopen64(const char* path, const char* mode) {
  return stream("fopen64", path, mode);
}

int link(const char* from, const char* to) noexcept {
  change(to);
  return behind<int (*)(const char*, const char*)>("link")(from, to);
}

int rename(const char* from, const char* to) noexcept {
  change(to);
  return behind<int (*)(const char*, const char*)>("rename")(from, to);
}

int unlink(const char* path) noexcept {
  change(path);
  return behind<int (*)(const char*)>("unlink")(path);
}

int remove(const char* path) noexcept {
  change(path);
  return behind<int (*)(const char*)>("remove")(path);
}

int rmdir(const char* path) noexcept {
  change(path);
  return behind<int (*)(const char*)>("rmdir")(path);
}

int mkdir(const char* path, mode_t mode) noexcept {
  change(path);
  return behind<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}
}
