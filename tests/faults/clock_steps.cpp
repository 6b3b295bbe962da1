// A clock of the day that somebody sets back and forth: for others.py, by LD_PRELOAD. Only what the
// program itself is told is changed, never the machine's clock.
#include <dlfcn.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

namespace {

using Clock = int (*)(clockid_t, timespec*);

int true_time(clockid_t which, timespec* time) {
  // The symbol behind this one.
  static const auto next = reinterpret_cast<Clock>(dlsym(RTLD_NEXT, "clock_gettime"));
  return next(which, time);
}

// An hour back, right, an hour ahead, a tenth of a second each; or two hours ahead from when the
// file CLOCK_STEP exists.
time_t step() {
  static const char* const mark = std::getenv("CLOCK_STEP");
  if (mark != nullptr)
    return access(mark, F_OK) == 0 ? 7200 : 0;
  timespec steady{};
  true_time(CLOCK_MONOTONIC, &steady);
  const long tenth = steady.tv_sec * 10 + steady.tv_nsec / 100'000'000;
  return (tenth % 3 - 1) * 3600;
}

} // namespace

extern "C" {

int clock_gettime(clockid_t which, timespec* time) {
  const int status = true_time(which, time);
  if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)
    time->tv_sec += step();
  return status;
}

int gettimeofday(timeval* time, void* /*zone*/) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* result) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != nullptr)
    *result = now.tv_sec;
  return now.tv_sec;
}
}
