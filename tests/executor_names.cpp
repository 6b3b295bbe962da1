// What Executor::run refuses, and what a task may do to the job: a program, since it depends on
// which functions a program has. executor_names_same.cpp or executor_names_other.cpp belongs to it.
#include "cleave/executor.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

/// Three times i by a task of the other file, whose name depends on the file.
int thrice_elsewhere(cleave::Executor& executor, int i);

namespace {

int twice(int i) {
  return 2 * i;
}

void ends_the_job(const std::string& way, cleave::Worker& worker) {
  if (worker.rank() != 1)
    return;
  if (way == "aborts")
    std::abort();
  std::exit(0);
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session, {.threads = 1});
  const std::string way = argc > 1 ? argv[1] : "";
  try {
    cleave::Executor::run(pool, [&way](cleave::Executor& e) {
      std::printf("answers: %d %d\n", e.submit<&twice>(6).get(), thrice_elsewhere(e, 6));
      for (int i = 0; !way.empty() && i < 1000; ++i)
        e.submit<&ends_the_job>(way).get();
    });
  } catch (const cleave::Error& error) {
    std::printf("refused: %s: %s\n", name(error.kind()), error.what());
  }
}
