// What Executor::run refuses, and what a task may do to the job: a program, since it depends on
// which functions a program has. executor_names_same.cpp or executor_names_other.cpp belongs to it.
#include "cleave/executor.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

/// Three times i by a task of the other file, whose name depends on the file.
int thrice_elsewhere(cleave::Executor& executor, int i);

namespace {

int twice(int i) {
  return 2 * i;
}

void ends_the_job(cleave::Worker& worker) {
  if (worker.rank() == 1)
    std::abort();
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session, {.threads = 1});
  const bool aborts = argc > 1 && std::string_view(argv[1]) == "aborts";
  try {
    cleave::Executor::run(pool, [aborts](cleave::Executor& e) {
      std::printf("answers: %d %d\n", e.submit<&twice>(6).get(), thrice_elsewhere(e, 6));
      for (int i = 0; aborts && i < 1000; ++i)
        e.submit<&ends_the_job>().get();
    });
  } catch (const cleave::Error& error) {
    std::printf("refused: %s: %s\n", name(error.kind()), error.what());
  }
}
